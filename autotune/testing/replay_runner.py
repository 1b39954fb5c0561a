"""A builder and runner that replays the recorded measurements of a search space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome
from search_spaces.config import Config
from search_spaces.space import Candidate
from search_spaces.tabular_space import TabularSpace
from tuning_logs.records.measurement import Failure, FailureKind, Timing

_COMPILATION = "compil"


class ReplayRunner:
    """A Builder and a Runner over the table of a recorded space.

    charged_secs: what compiling and measuring everything built so far took when it was recorded. As a tuner's clock
    (`clock`) it makes a time budget mean what it meant on the machine.

    >>> replay = ReplayRunner(space)
    >>> Tuner(job, log, builder=replay, runner=replay, clock=replay.clock)
    """

    def __init__(self, space: TabularSpace) -> None:
        self._table = space.table
        self._default = space.default
        self.charged_secs = 0.0

    def clock(self) -> float:
        """The charged seconds."""
        return self.charged_secs

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """Charges every candidate's recorded cost; what failed to compile is a Failure here."""
        return [self._build(candidate) for candidate in candidates]

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """The recorded mean as the only repeat; there were no outputs to check."""
        return [Outcome(self._measurement(artifact.config), None) for artifact in artifacts]

    def close(self) -> None:
        """Does nothing: there are no processes and no files."""

    def _build(self, candidate: Candidate) -> Artifact | Failure:
        outcome = self._table[candidate.config]
        self.charged_secs += outcome.cost_secs
        if not outcome.ran and _COMPILATION in outcome.status.lower():
            return Failure(FailureKind.BUILD_ERROR, outcome.status, outcome.cost_secs)
        reference = candidate.config == self._default
        return Artifact(
            candidate.task, candidate.config, Path(), outcome.cost_secs, (), is_reference=reference
        )

    def _measurement(self, config: Config) -> Timing | Failure:
        outcome = self._table[config]
        if outcome.ran:
            return Timing((outcome.secs,), outcome.cost_secs)
        return Failure(FailureKind.RUN_ERROR, outcome.status, outcome.cost_secs)
