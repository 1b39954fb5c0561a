"""A candidate compiled: a shared library on disk, and what a runner must know to call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces.config import Config
from search_spaces.modules import TensorSpec
from search_spaces.task import TuningTask


@dataclass(frozen=True, slots=True)
class PrepackedWeight:
    """A constant weight that the kernel wants in another layout: which parameter, and what it becomes."""

    parameter: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a builder makes of a candidate.

    library:      a shared library with the function `main`; or, where prepacked names weights, with
                  `main_weight_prepack` (the weights in that order, then their new layouts likewise) and
                  `main_prepacked` (all parameters, new layouts for old). Deleted once it has run.
    signature:    the parameters of the workload.
    is_reference: the untuned program, whose outputs the other candidates of its task are held against.
    """

    task: TuningTask
    config: Config
    library: Path
    build_secs: float
    signature: tuple[TensorSpec, ...]
    prepacked: tuple[PrepackedWeight, ...] = ()
    is_reference: bool = False
