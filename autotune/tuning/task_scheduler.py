"""Task scheduling: which task gets the next round, by expected fall of the objective or by turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

from autotune.tuning.objective import Objective
from search_spaces import TuningTask
from tuning_logs import TuningRecord

# Weight of the last rounds' improvement against the expectation that a little-searched task still has room.
_RECENT_SHARE = 0.3
# Trials that a task gets before any task gets more.
_START_TRIALS = 4
# A round is no larger than a quarter of the trials before it: while little is known, look at the outcome soon.
_TRIALS_PER_PROPOSAL = 4
# A task has plateaued when neither so many trials in a row nor half of all made it faster by this share.
_PLATEAU_TRIALS = 256
_PLATEAU_GAIN = 0.01


@dataclass
class TaskProgress:
    """The search of one task so far: the baseline, and the best latency after each trial (seconds, inf: none yet).

    waiting: candidates that were proposed, whose measurement is still to come.
    """

    task: TuningTask
    default_secs: float
    best_secs: list[float] = field(default_factory=list)
    is_exhausted: bool = False
    waiting: int = 0

    @classmethod
    def start(cls, task: TuningTask, default: TuningRecord, known: Sequence[TuningRecord]) -> TaskProgress:
        """The progress at the start of a search: the known records' configs, each as one trial."""
        progress = cls(task, default.secs)
        # Finalists have several records: the first one counts.
        first = {record.config: record for record in reversed(known) if record.config != default.config}
        for record in reversed(first.values()):
            progress.note(record)
        return progress

    @property
    def trials(self) -> int:
        """Searched candidates so far, the baseline not counted."""
        return len(self.best_secs)

    @property
    def best(self) -> float:
        """The best latency so far, the baseline included."""
        return min([self.default_secs, *self.best_secs[-1:]])

    @property
    def improvements(self) -> int:
        """Searched candidates that were faster than the baseline and all before them."""
        bests = [self.default_secs, *(min(self.default_secs, secs) for secs in self.best_secs)]
        return sum(after < before for before, after in pairwise(bests))

    @property
    def has_plateaued(self) -> bool:
        """Whether the last 256 trials, and the last half of all, made it less than 1 % faster."""
        window = max(_PLATEAU_TRIALS, self.trials // 2)
        if self.trials <= window:
            return False
        return self.best > (1 - _PLATEAU_GAIN) * min(self.best_secs[-window - 1], self.default_secs)

    def note(self, record: TuningRecord) -> None:
        """Adds the record of one searched candidate."""
        self.best_secs.append(min([record.secs, *self.best_secs[-1:]]))


#: A task and the number of candidates to propose for it.
Choice = tuple[TaskProgress, int]


class Scheduler(Protocol):
    """Divides a job's trials among its tasks, whose progress it reads."""

    def next_task(self) -> Choice | None:
        """The task of the next round and its number of candidates; None where every task is exhausted."""
        ...

    def next_after(self, under_way: TaskProgress, count: int) -> Choice | None:
        """The round after one of `count` candidates that is under way, if that brings no improvement."""
        ...


#: Makes a scheduler from the progress of a job's tasks, the most candidates of a round, and the job's objective.
SchedulerFactory = Callable[[Sequence[TaskProgress], int, Objective], Scheduler]


class TaskScheduler:
    """Gradient-based: the expected fall of the objective per trial, as in Ansor (OSDI 2020, section 6).

    Every task first gets a start of a few trials, the heaviest first. An exhausted task gets no more, one that has
    plateaued gets none while another improves.
    """

    def __init__(
        self, progress: Sequence[TaskProgress], batch: int, objective: Objective | None = None
    ) -> None:
        """batch: the most candidates of a round.

        objective: by default the latency of one model that consists of all tasks."""
        self.progress = tuple(progress)
        self.batch = batch
        self.objective = objective or Objective.of_tasks([one.task for one in progress])

    def next_task(self) -> Choice | None:
        """See `Scheduler.next_task`."""
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

    def next_after(self, under_way: TaskProgress, count: int) -> Choice | None:
        """See `Scheduler.next_after`."""
        progress, ahead = _without_improvement(self.progress, under_way, count)
        choice = TaskScheduler(progress, self.batch, self.objective).next_task()
        return (under_way, choice[1]) if choice and choice[0] is ahead else choice

    def _expected_fall(self, one: TaskProgress) -> float:
        """Seconds of one call per trial spent on this task."""
        window = 2 * self.batch
        before = min(one.default_secs, one.best_secs[-window if one.trials >= window else 0])
        recent = max(before - one.best, 0.0) / min(window, one.trials)
        hope = one.best / one.trials
        return _RECENT_SHARE * recent + (1 - _RECENT_SHARE) * hope


@dataclass(frozen=True)
class RoundRobin:
    """Every task gets as many trials as the others: the one with the fewest is next, with a whole batch."""

    progress: Sequence[TaskProgress]
    batch: int

    def next_task(self) -> Choice | None:
        """See `Scheduler.next_task`."""
        active = [one for one in self.progress if not one.is_exhausted]
        return (min(active, key=lambda one: one.trials), self.batch) if active else None

    def next_after(self, under_way: TaskProgress, count: int) -> Choice | None:
        """See `Scheduler.next_after`."""
        progress, ahead = _without_improvement(self.progress, under_way, count)
        choice = replace(self, progress=progress).next_task()
        return (under_way, choice[1]) if choice and choice[0] is ahead else choice


def round_robin(progress: Sequence[TaskProgress], batch: int, _objective: Objective) -> RoundRobin:
    """A factory in the sense of `SchedulerFactory`: turns follow no objective."""
    return RoundRobin(progress, batch)


def _without_improvement(
    progress: Sequence[TaskProgress], under_way: TaskProgress, count: int
) -> tuple[list[TaskProgress], TaskProgress]:
    """The progress after `count` more trials of one task that bring no improvement, and that task's."""
    ahead = replace(under_way, best_secs=[*under_way.best_secs, *[under_way.best] * count])
    return [ahead if one is under_way else one for one in progress], ahead
