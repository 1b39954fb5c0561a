"""Which task gets the next round: where the model's latency can be expected to fall most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from search_spaces import TuningTask
from tuning_logs import TuningRecord

# How much the last rounds' improvement counts against the hope that a little-searched task still has room.
_RECENT_SHARE = 0.3
# Trials that a task gets before any task gets more.
_START_TRIALS = 4


@dataclass
class TaskProgress:
    """What is known of one task: its baseline, and its best latency after each trial (seconds, inf: none yet)."""

    task: TuningTask
    default_secs: float
    best_secs: list[float] = field(default_factory=list)
    is_exhausted: bool = False

    @property
    def trials(self) -> int:
        """Searched candidates so far, the baseline not counted."""
        return len(self.best_secs)

    @property
    def best(self) -> float:
        """The best latency so far, the baseline included."""
        return min([self.default_secs, *self.best_secs[-1:]])

    def note(self, record: TuningRecord) -> None:
        """Takes in one searched candidate."""
        self.best_secs.append(min([record.secs, *self.best_secs[-1:]]))


class TaskScheduler:
    """Gradient-based: weight × expected fall in latency per trial, as in Ansor (OSDI 2020, section 6).

    Every task first gets a start of a few trials, the heaviest first; a task whose space is used up gets no more.
    """

    def __init__(self, progress: Sequence[TaskProgress], batch: int) -> None:
        self.progress = tuple(progress)
        self.batch = batch

    def next_task(self) -> tuple[TaskProgress, int] | None:
        """The task of the next round and how many candidates to ask for; None where every task is used up."""
        active = [one for one in self.progress if not one.is_exhausted]
        if not active:
            return None
        beginners = [one for one in active if one.trials < _START_TRIALS]
        if beginners:
            chosen = max(beginners, key=lambda one: one.task.weight * one.default_secs)
            return chosen, min(self.batch, _START_TRIALS)
        return max(active, key=self._expected_fall), self.batch

    def _expected_fall(self, one: TaskProgress) -> float:
        """Seconds of the model's latency per trial spent on this task."""
        window = 2 * self.batch
        before = one.best_secs[-window] if one.trials >= window else min(one.default_secs, one.best_secs[0])
        recent = max(before - one.best, 0.0) / min(window, one.trials)
        hope = one.best / one.trials
        return one.task.weight * (_RECENT_SHARE * recent + (1 - _RECENT_SHARE) * hope)
