"""Which task gets the next round: where the model's latency can be expected to fall most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autotune.tuning.objective import Objective
from search_spaces import TuningTask
from tuning_logs import TuningRecord

# How much the last rounds' improvement counts against the hope that a little-searched task still has room.
_RECENT_SHARE = 0.3
# Trials that a task gets before any task gets more.
_START_TRIALS = 4
# A round is no larger than a quarter of the trials before it: while little is known, look at the outcome soon.
_TRIALS_PER_PROPOSAL = 4
# A task stands still when neither so many trials in a row nor half of all made it faster by this share.
_PLATEAU_TRIALS = 256
_PLATEAU_GAIN = 0.01


@dataclass
class TaskProgress:
    """What is known of one task: its baseline, and its best latency after each trial (seconds, inf: none yet).

    waiting: candidates that were asked for, whose measurement is still to come.
    """

    task: TuningTask
    default_secs: float
    best_secs: list[float] = field(default_factory=list)
    is_exhausted: bool = False
    waiting: int = 0

    @property
    def trials(self) -> int:
        """Searched candidates so far, the baseline not counted."""
        return len(self.best_secs)

    @property
    def best(self) -> float:
        """The best latency so far, the baseline included."""
        return min([self.default_secs, *self.best_secs[-1:]])

    @property
    def has_plateaued(self) -> bool:
        """Whether the last 256 trials, and the last half of all, made it less than 1 % faster."""
        window = max(_PLATEAU_TRIALS, self.trials // 2)
        if self.trials <= window:
            return False
        return self.best > (1 - _PLATEAU_GAIN) * min(self.best_secs[-window - 1], self.default_secs)

    def note(self, record: TuningRecord) -> None:
        """Takes in one searched candidate."""
        self.best_secs.append(min([record.secs, *self.best_secs[-1:]]))


class TaskScheduler:
    """Gradient-based: the expected fall of the objective per trial, as in Ansor (OSDI 2020, section 6).

    Every task first gets a start of a few trials, the heaviest first. A task whose space is used up gets no more, one
    that stands still gets none while another moves.
    """

    def __init__(
        self, progress: Sequence[TaskProgress], batch: int, objective: Objective | None = None
    ) -> None:
        """batch: the most candidates of a round.

        objective: by default the latency of one model that consists of all tasks."""
        self.progress = tuple(progress)
        self.batch = batch
        self.objective = objective or Objective.of_tasks([one.task for one in progress])

    @property
    def value(self) -> float:
        """The objective at the best latencies so far."""
        return self.objective.value({one.task.key: one.best for one in self.progress})

    def next_task(self) -> tuple[TaskProgress, int] | None:
        """The task of the next round and how many candidates to ask for; None where every task is used up."""
        active = [one for one in self.progress if not one.is_exhausted]
        if not active:
            return None
        worth = self.objective.worth({one.task.key: one.best for one in self.progress})
        beginners = [one for one in active if not one.trials or one.trials + one.waiting < _START_TRIALS]
        if beginners:
            chosen = max(beginners, key=lambda one: worth[one.task.key] * one.default_secs)
            return chosen, min(self.batch, _START_TRIALS)
        moving = [one for one in active if not one.has_plateaued]
        chosen = max(moving or active, key=lambda one: worth[one.task.key] * self._expected_fall(one))
        return chosen, min(self.batch, max(_START_TRIALS, chosen.trials // _TRIALS_PER_PROPOSAL))

    def next_after(self, under_way: TaskProgress, count: int) -> tuple[TaskProgress, int] | None:
        """The round after one of `count` candidates that is under way, if that brings nothing.

        None where it would be the same task's: what it is to measure next depends on the outcome.
        """
        ahead = replace(under_way, best_secs=[*under_way.best_secs, *[under_way.best] * count])
        progress = [ahead if one is under_way else one for one in self.progress]
        choice = TaskScheduler(progress, self.batch, self.objective).next_task()
        return None if choice is None or choice[0] is ahead else choice

    def _expected_fall(self, one: TaskProgress) -> float:
        """Seconds of one call per trial spent on this task."""
        window = 2 * self.batch
        before = one.best_secs[-window] if one.trials >= window else min(one.default_secs, one.best_secs[0])
        recent = max(before - one.best, 0.0) / min(window, one.trials)
        hope = one.best / one.trials
        return _RECENT_SHARE * recent + (1 - _RECENT_SHARE) * hope
