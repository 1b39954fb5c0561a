"""Quality of a model on held-out tasks, networks and devices, with scikit-learn's splitters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from cost_models.evaluation.metrics import pairwise_accuracy, spearman, top_k_score
from cost_models.record_table import RecordTable, TaskOnDevice, device_text
from search_spaces.errors import Misuse

Floats = NDArray[np.float64]
#: Learns from one table and predicts the scores (n,) of another's rows.
Learner = Callable[[RecordTable, RecordTable], Floats]
#: (training rows, test rows) of a table.
Split = tuple[NDArray[np.int64], NDArray[np.int64]]

#: Fewest configs of a task in an evaluation: the top five of a smaller one would be nearly all of it.
LEAST_CONFIGS = 8
_FOLDS = 5


class HeldOut(StrEnum):
    """The unit that is held out of training."""

    TASKS = "tasks"
    NETWORKS = "networks"
    DEVICES = "devices"


@dataclass(frozen=True, slots=True)
class TaskScore:
    """The metrics of one task on one device; see `cost_models.evaluation.metrics`.

    best_secs: the latency of its fastest config.
    """

    facts: TaskOnDevice
    configs: int
    top1: float
    top5: float
    pairwise: float
    spearman: float
    best_secs: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of many tasks as one line of a table.

    top1, top5, pairwise, spearman: means over the tasks. weighted_top1, weighted_top5: latency of the network with the
    best configs over that with the best among the model's k, each task counted as often as its network calls it
    (TenSet's definition).
    """

    tasks: int
    configs: int
    top1: float
    top5: float
    pairwise: float
    spearman: float
    weighted_top1: float
    weighted_top5: float


def splits(table: RecordTable, held_out: HeldOut) -> Iterator[tuple[str, Split]]:
    """Names and rows of each split. A task is never on both sides, except for held-out devices.

    Raises Misuse where the table has less than two of what is to be held out.
    """
    groups = _grouping(table, held_out)
    count = len({name for row in groups for name in row})
    if count < 2:
        raise Misuse(
            f"expected logs of two {held_out.value} or more to hold one out, found {count}", code="AT305"
        )
    rows = np.arange(len(table))
    if held_out is HeldOut.TASKS:
        folds = GroupKFold(min(_FOLDS, count), shuffle=True, random_state=0)
        for number, (train, test) in enumerate(folds.split(rows, groups=table.tasks)):
            yield f"fold {number + 1}", (train, test)
    elif held_out is HeldOut.DEVICES:
        names = np.array([row[0] for row in groups])
        for train, test in LeaveOneGroupOut().split(rows, groups=names):
            yield str(names[test[0]]), (train, test)
    else:
        # An operator may be part of several networks: it is then part of no training without all of them.
        for name in sorted({name for row in groups for name in row}):
            tasks = {task for task, row in zip(table.tasks, groups, strict=True) if name in row}
            inside = np.isin(table.tasks, list(tasks))
            if not inside.all():
                yield name, (rows[~inside], rows[inside])


def cross_validated(
    table: RecordTable, held_out: HeldOut, learner: Learner
) -> list[tuple[str, Floats, NDArray[np.int64]]]:
    """For each split: its name, what the learner predicts, and of which rows."""
    return [
        (name, learner(table.rows(train), table.rows(test)), test)
        for name, (train, test) in splits(table, held_out)
    ]


def task_scores(table: RecordTable, predicted: Floats) -> list[TaskScore]:
    """One score for each task on a device that has enough configs, any of which ran. predicted: (n,) for its rows."""
    scores = table.scores
    found = []
    for group in np.unique(table.groups):
        rows = np.flatnonzero(table.groups == group)
        if len(rows) < LEAST_CONFIGS or not scores[rows].any():
            continue
        true, said, same = scores[rows], predicted[rows], np.zeros(len(rows), dtype=np.int64)
        found.append(
            TaskScore(
                table.facts[int(group)],
                len(rows),
                top_k_score(true, said, same, 1),
                top_k_score(true, said, same, 5),
                pairwise_accuracy(true, said, same),
                spearman(true, said, same),
                float(table.secs[rows].min()),
            )
        )
    return found


def held_out_scores(table: RecordTable, held_out: HeldOut, learner: Learner) -> list[TaskScore]:
    """The scores of all tasks, each predicted by a model trained without it."""
    return [
        score
        for _, predicted, rows in cross_validated(table, held_out, learner)
        for score in task_scores(table.rows(rows), predicted)
    ]


def quality(scores: list[TaskScore]) -> Quality:
    """The means over tasks, and the weighted ones. Raises Misuse where there is no task."""
    if not scores:
        raise Misuse(
            f"expected a task with at least {LEAST_CONFIGS} configs to judge a model by, found none",
            code="AT305",
        )
    weights = np.array([score.facts.task.weight * score.best_secs for score in scores])

    def mean(values: list[float]) -> float:
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def weighted(values: list[float]) -> float:
        # A task of whose k best none ran would take for ever.
        with np.errstate(divide="ignore"):
            return float(weights.sum() / (weights / np.array(values)).sum())

    return Quality(
        len(scores),
        sum(score.configs for score in scores),
        mean([score.top1 for score in scores]),
        mean([score.top5 for score in scores]),
        mean([score.pairwise for score in scores]),
        mean([score.spearman for score in scores]),
        weighted([score.top1 for score in scores]),
        weighted([score.top5 for score in scores]),
    )


def _grouping(table: RecordTable, held_out: HeldOut) -> list[tuple[str, ...]]:
    """For each row, the names of the units it belongs to."""
    by_group = [
        {
            HeldOut.TASKS: (fact.task.key,),
            HeldOut.NETWORKS: fact.networks,
            HeldOut.DEVICES: (device_text(fact),),
        }[held_out]
        for fact in table.facts
    ]
    return [by_group[group] for group in table.groups]
