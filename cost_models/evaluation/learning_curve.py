"""Learning curves: quality on held-out tasks by the number of training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cost_models.evaluation.held_out import HeldOut, Learner, Quality, quality, splits, task_scores
from cost_models.record_table import RecordTable


def learning_curve(
    table: RecordTable, learner: Learner, counts: Sequence[int], seed: int = 0
) -> list[Quality]:
    """Quality on held-out tasks after training on so many rows of the other tasks, drawn at random."""
    rng = np.random.default_rng(seed)
    folds = [split for _, split in splits(table, HeldOut.TASKS)]
    orders = [rng.permutation(train) for train, _ in folds]
    found = []
    for count in counts:
        predicted: NDArray[np.float64] = np.zeros(len(table))
        for (_, test), order in zip(folds, orders, strict=True):
            predicted[test] = learner(table.rows(np.sort(order[:count])), table.rows(test))
        found.append(quality(task_scores(table, predicted)))
    return found


def doublings(most: int, least: int = 64) -> list[int]:
    """least, twice that, and so on, and most."""
    counts = []
    while least < most:
        counts.append(least)
        least *= 2
    return [*counts, most]
