"""The candidates of a search's rounds: retries, then new ones of a task's study, proposed one round ahead."""

from __future__ import annotations

from collections.abc import Mapping

from autotune.search.task_study import TaskStudy
from autotune.tuning.retries import RetryQueue
from autotune.tuning.task_scheduler import Scheduler, TaskProgress
from search_spaces import Candidate, TuningTask

#: The candidates of one round, and the progress of their task.
Proposal = tuple[TaskProgress, list[Candidate]]


class Proposals:
    """Asks the scheduler for tasks and their studies for candidates.

    While the workers compile one round, `look_ahead` proposes the next where that is another task's; with several
    rounds of one task at once also where it is the same task's, whose study does not know the first one's outcome.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        studies: Mapping[TuningTask, TaskStudy],
        retries: RetryQueue,
        rounds_at_once: int = 1,
    ) -> None:
        self._scheduler = scheduler
        self._studies = studies
        self._retries = retries
        self._rounds_at_once = rounds_at_once
        self._ahead: Proposal | None = None

    def next_round(self, affordable: float) -> Proposal | None:
        """The next round's candidates, none of an exhausted task; None where every task is exhausted.

        affordable: the most candidates that the budget has left, which may be fewer than when `look_ahead` was called.
        """
        proposal, self._ahead = self._ahead, None
        if proposal is None:
            choice = self._scheduler.next_task()
            if choice is None:
                return None
            proposal = self._propose(choice[0], min(choice[1], affordable))
        progress, candidates = proposal
        return progress, candidates[: int(min(affordable, len(candidates)))]

    def look_ahead(self, under_way: TaskProgress, count: int, affordable: float) -> None:
        """Proposes the round after one of `count` candidates that is under way."""
        choice = self._scheduler.next_after(under_way, count)
        if choice is None or affordable <= count or (choice[0] is under_way and self._rounds_at_once == 1):
            return
        proposal = self._propose(choice[0], min(choice[1], affordable - count))
        # Of the round under way some may come again: only without it is a task exhausted.
        if proposal[1] or choice[0] is not under_way:
            self._ahead = proposal

    def take_ahead(self) -> Proposal | None:
        """Removes and returns what `look_ahead` proposed; None where that is nothing."""
        if self._ahead is None or not self._ahead[1]:
            return None
        proposal, self._ahead = self._ahead, None
        return proposal

    def _propose(self, progress: TaskProgress, count: float) -> Proposal:
        again = self._retries.take(progress.task)
        return progress, again + self._studies[progress.task].ask(max(int(count) - len(again), 0))
