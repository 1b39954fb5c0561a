"""Budgets of tuning jobs: trials, seconds, expected gain."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.tuning.limits import MOST_SECS, MOST_TRIALS
from search_spaces import Misuse


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on candidates, on seconds, on the expected gain, or on several: the first that is reached ends the job.

    trials:        counts searched candidates; each task's untuned baseline is measured besides.
    gain_per_hour: the share of the latency that another hour must be expected to save, e.g. 0.01; see `GainForecast`.
    """

    trials: int | None = None
    secs: float | None = None
    gain_per_hour: float | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.secs is None and self.gain_per_hour is None:
            raise Misuse(
                "a budget needs a number of trials, a time, or a least gain per hour; found none of them",
                code="AT505",
            )
        if self.trials is not None and not 1 <= self.trials <= MOST_TRIALS:
            raise Misuse(
                f"a budget has 1 to {MOST_TRIALS:,} trials; found trials={self.trials}", code="AT505"
            )
        if self.secs is not None and not 0 < self.secs <= MOST_SECS:
            raise Misuse(
                f"a budget's time is positive and at most {MOST_SECS / 86400:,.0f} days; found secs={self.secs}",
                code="AT505",
            )
        if self.gain_per_hour is not None and not 0 < self.gain_per_hour < 1:
            raise Misuse(
                f"a gain per hour is a share between 0 and 1; found {self.gain_per_hour}", code="AT505"
            )

    def trials_left(self, trials_spent: int) -> float:
        """The number of candidates left; infinite without such a limit."""
        return float("inf") if self.trials is None else self.trials - trials_spent

    def secs_left(self, secs_spent: float) -> float:
        """The seconds left; infinite without such a limit."""
        return float("inf") if self.secs is None else self.secs - secs_spent
