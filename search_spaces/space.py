"""The interface of a search space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from search_spaces.config import Config
from search_spaces.decision import Choose
from search_spaces.task import TuningTask


@dataclass(frozen=True, slots=True)
class Candidate:
    """A config applied: the program that it stands for, live in this process and never written to disk.

    config is canonical: applying it again gives an equal program and the same config, even where the chooser's
    own answers had to be moved to the nearest legal ones.
    schedule is the space's own kind of program: a `tvm.s_tir.Schedule` for `TensorIRSpace`.
    trace is text by which the config can be replayed where the space asks other questions by then: the same for all
    configs of a sketch; None in spaces that have no such text, and for baselines.
    """

    task: TuningTask
    config: Config
    schedule: Any
    trace: str | None = None


class SearchSpace(Protocol):
    """A program that asks questions; every list of answers picks one candidate, legal or not."""

    @property
    def task(self) -> TuningTask:
        """The workload and target of the space's candidates."""
        ...

    @property
    def version(self) -> str:
        """Names the questions asked: configs of one version are not replayed in another."""
        ...

    @property
    def size(self) -> int:
        """The number of configs, illegal ones included."""
        ...

    @property
    def default(self) -> Config:
        """The config of the untuned program: the baseline, and the reference for numerics."""
        ...

    def answer(self, choose: Choose) -> Config:
        """Asks every question and builds nothing; cheap enough for tens of thousands of configs."""
        ...

    def heuristic_samples(self, count: int, rng: np.random.Generator) -> list[Config]:
        """Configs that one who knows the hardware would try first, drawn at random; none where nothing is known."""
        ...

    def apply(self, choose: Choose) -> Candidate:
        """Asks every question and builds the program. Raises IllegalSchedule with the reason."""
        ...
