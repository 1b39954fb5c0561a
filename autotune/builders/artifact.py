"""A candidate compiled: a shared library on disk, and what a runner must know to call it."""

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
    """A constant weight that the kernel wants in another layout: which parameter, and what it becomes."""

    parameter: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling tells besides the library: see `Artifact`."""

    prepacked: tuple[PrepackedWeight, ...] = ()
    gpu: GpuResources | None = None
    cubin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a builder makes of a candidate.

    library:      a shared library with the function `main`; or, where prepacked names weights, with
                  `main_weight_prepack` (the weights in that order, then their new layouts likewise) and
                  `main_prepacked` (all parameters, new layouts for old). It lives until `discard`.
    signature:    the parameters of the workload.
    gpu, cubin:   what the kernel takes of a GPU, and its machine code, which the library lacks; None on other devices.
    is_reference: the untuned program, whose outputs the other candidates of its task are held against.
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
    """Deletes the libraries that a builder made, once they have run for the last time.

    Whoever has candidates built does this: a builder's scratch directory would grow during a long job. Artifacts of a
    recorded space have no library.
    """
    for one in built:
        if isinstance(one, Artifact) and one.library.is_file():
            one.library.unlink(missing_ok=True)
