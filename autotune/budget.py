"""How much a tuning job may spend."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Misuse


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on candidates, on seconds, or on both: whichever is reached first ends the job.

    trials counts searched candidates; each task's untuned baseline is measured besides.
    """

    trials: int | None = None
    secs: float | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.secs is None:
            raise Misuse("a budget needs a number of trials, a time, or both; found neither")
        if (self.trials is not None and self.trials < 1) or (self.secs is not None and self.secs <= 0):
            raise Misuse(f"a budget is positive; found trials={self.trials}, secs={self.secs}")

    def trials_left(self, trials_spent: int) -> float:
        """How many more candidates may be measured; infinite without such a limit."""
        return float("inf") if self.trials is None else self.trials - trials_spent

    def secs_left(self, secs_spent: float) -> float:
        """How many seconds remain; infinite without such a limit."""
        return float("inf") if self.secs is None else self.secs - secs_spent
