"""Compiled candidates: a shared library on disk, and its calling convention."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from search_spaces.config import Config
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import TensorSpec
from tuning_logs.records.gpu_resources import GpuResources
from tuning_logs.records.measurement import Failure


@dataclass(frozen=True, slots=True)
class PrepackedWeight:
    """A constant weight that the kernel takes in another layout: its parameter, and the new shape and dtype."""

    parameter: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """The results of compiling besides the library; see `Artifact` for the fields."""

    prepacked: tuple[PrepackedWeight, ...] = ()
    gpu: GpuResources | None = None
    cubin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled candidate.

    library:      a shared library with the function `main`; or, where prepacked names weights, with
                  `main_weight_prepack` (the weights in that order, then their new layouts likewise) and
                  `main_prepacked` (all parameters, new layouts for old). It lives until `discard`.
    signature:    the workload's parameters.
    gpu, cubin:   the GPU resources of the kernel, and its machine code, which the library lacks; None on other devices.
    is_reference: whether it is the untuned program, whose outputs the task's other candidates are compared with.
    """

    task: TuningTask
    config: Config
    library: Path
    build_secs: float
    signature: tuple[TensorSpec, ...]
    prepacked: tuple[PrepackedWeight, ...] = ()
    is_reference: bool = False
    gpu: GpuResources | None = None
    cubin: bytes | None = None


def discard(built: Iterable[Artifact | Failure | None]) -> None:
    """Deletes the libraries of artifacts after their last run.

    The caller of a builder does this, or the builder's scratch directory grows during a long job. Artifacts of a
    recorded space have no library.
    """
    for one in built:
        if isinstance(one, Artifact) and one.library.is_file():
            one.library.unlink(missing_ok=True)
