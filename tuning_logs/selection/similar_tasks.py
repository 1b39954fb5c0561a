"""Similar tasks: the same operator at other sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from search_spaces.errors import AutotuneError
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.module_digest import structure
from search_spaces.tensor_ir.modules import load, normalize
from tuning_logs.records.trial_counts import TrialCounts

#: Of a log with thousands of tasks, no more than this many are looked into, those of the most similar work first.
_LOOKED_INTO = 64


class SimilarTasks:
    """Remembers the structure of every task that it was asked about."""

    def __init__(self) -> None:
        self._structures: dict[str, tuple[str, tuple[int, ...]]] = {}

    def nearest(self, task: TuningTask, among: Sequence[TrialCounts]) -> Iterator[TrialCounts]:
        """The trial counts of tasks with the same structure that have records that ran, the nearest sizes first."""
        digest, sizes = self._structure(task)
        alike = []
        for each in _of_similar_work(task, among):
            found, others = self._structure(each.task)
            if found == digest and len(others) == len(sizes) and each.counts.get("ok"):
                alike.append((sum(map(_off, sizes, others)), each))
        return (each for _, each in sorted(alike, key=lambda pair: pair[0]))

    def equal(self, task: TuningTask, among: Sequence[TrialCounts]) -> Iterator[TrialCounts]:
        """The trial counts of tasks with the same structure and sizes: the same operator under another key.

        Before scalars were left out of them, keys changed with every training run; they still do where a scalar
        becomes 0 or 1, and TVM folds what is computed with it.
        """
        own = self._structure(task)
        return (each for each in _of_similar_work(task, among) if self._structure(each.task) == own)

    def _structure(self, task: TuningTask) -> tuple[str, tuple[int, ...]]:
        if task.key not in self._structures:
            try:
                self._structures[task.key] = structure(normalize(load(task.workload.module))["main"])
            except AutotuneError:
                # A log may hold operators that this version of TVM cannot read: they are like no other.
                self._structures[task.key] = (task.key, ())
        return self._structures[task.key]


def _of_similar_work(task: TuningTask, among: Sequence[TrialCounts]) -> list[TrialCounts]:
    return sorted(among, key=lambda each: _off(each.task.workload.flops, task.workload.flops))[:_LOOKED_INTO]


def _off(one: float, other: float) -> float:
    """The distance of two sizes: 0 where they are equal, 1 where one is twice the other."""
    return abs(math.log2((abs(one) + 1) / (abs(other) + 1))) + (one * other < 0)
