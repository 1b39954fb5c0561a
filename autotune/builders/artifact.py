"""A candidate compiled: a shared library on disk, and what a runner must know to call it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.config import Config
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import TensorSpec
from tuning_logs.records.gpu_resources import GpuResources


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
                  `main_prepacked` (all parameters, new layouts for old). Deleted once it has run.
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

    def hard_link(self, number: int) -> Artifact:
        """The same library under another name, for a run more than the one after which it is deleted.

        An artifact without a file, as of a recorded space, is its own twin.
        """
        if not self.library.is_file():
            return self
        hard_link = self.library.with_name(f"{self.library.stem}-{number}{self.library.suffix}")
        os.link(self.library, hard_link)
        return replace(self, library=hard_link)
