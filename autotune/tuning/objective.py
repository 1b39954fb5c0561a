"""The objective of a job: the latencies of its models, weighted by priority."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces import TuningTask


@dataclass(frozen=True)
class ModelShare:
    """A model's part of the objective: the calls of each task in one run, by the task's key, and the priority."""

    name: str
    calls: Mapping[str, int]
    priority: float = 1.0

    def latency_secs(self, best_secs: Mapping[str, float]) -> float:
        """The sum over its tasks, in seconds; best_secs: one call of each task, by key. Tasks without one are left
        out, as their default schedule did not run."""
        return sum(calls * best_secs[key] for key, calls in self.calls.items() if key in best_secs)


class Objective:
    """The mean of the logarithms of the models' latencies, weighted by priority: it falls by 0.01 when every model
    gets one per cent faster, whatever its size."""

    def __init__(self, shares: Sequence[ModelShare]) -> None:
        self.shares = tuple(shares)

    @classmethod
    def of_tasks(cls, tasks: Sequence[TuningTask]) -> Objective:
        """One model that consists of the tasks."""
        return cls((ModelShare("", {task.key: task.weight for task in tasks}),))

    def value(self, best_secs: Mapping[str, float]) -> float:
        """The objective at the tasks' best latencies; models none of whose tasks ran are left out."""
        found = [(share.priority, share.latency_secs(best_secs)) for share in self.shares]
        running = [(priority, secs) for priority, secs in found if secs > 0]
        total = sum(priority for priority, _ in running)
        return sum(priority * math.log(secs) for priority, secs in running) / total if running else 0.0

    def worth(self, best_secs: Mapping[str, float]) -> dict[str, float]:
        """The negative gradient of the objective: its fall for each second that one call of a task gets faster, by the
        task's key."""
        worth = dict.fromkeys(best_secs, 0.0)
        total = sum(share.priority for share in self.shares)
        for share in self.shares:
            secs = share.latency_secs(best_secs)
            for key, calls in share.calls.items():
                if key in worth:
                    worth[key] += share.priority / total * calls / secs
        return worth
