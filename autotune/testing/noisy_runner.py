"""A runner whose timings have measurement noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome, Runner
from tuning_logs import Timing


class NoisyRunner:
    """Multiplies every repeat of another runner's timings by log-normal noise.

    spread: standard deviation of the logarithm; 0.1 is about 10 %.
    """

    def __init__(self, runner: Runner, spread: float, seed: int = 0) -> None:
        self._runner = runner
        self._spread = spread
        self._rng = np.random.default_rng(seed)

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """The outcomes of the other runner; failures stay as they are."""
        return [self._disturbed(outcome) for outcome in self._runner.run(artifacts, best_secs)]

    def close(self) -> None:
        """Closes the other runner."""
        self._runner.close()

    def _disturbed(self, outcome: Outcome) -> Outcome:
        timing = outcome.measurement
        if not isinstance(timing, Timing):
            return outcome
        factors = np.exp(self._rng.normal(0.0, self._spread, len(timing.run_secs)))
        run_secs = tuple(float(secs * factor) for secs, factor in zip(timing.run_secs, factors, strict=True))
        return replace(outcome, measurement=replace(timing, run_secs=run_secs))
