"""Metrics of predictions: top-k score, pairwise accuracy, rank correlation; means over groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def top_k_score(scores: Floats, predicted: Floats, groups: NDArray[np.int64], k: int) -> float:
    """The best true score among the k rows predicted best, over the best there is: 1 is perfect.

    Averaged over the groups in which a config ran; NaN if there is none. All arrays have shape (n,).
    """
    found = []
    for rows in _groups(groups):
        best = scores[rows].max()
        if best > 0:
            top = rows[np.argsort(-predicted[rows], kind="stable")[:k]]
            found.append(scores[top].max() / best)
    return _mean(found)


def pairwise_accuracy(scores: Floats, predicted: Floats, groups: NDArray[np.int64]) -> float:
    """The share of pairs with different scores that the prediction orders correctly; a tie counts half.

    Averaged over the groups that have such a pair; NaN if there is none. Takes (group size)² memory.
    """
    found = []
    for rows in _groups(groups):
        true = np.sign(scores[rows][:, None] - scores[rows][None, :])
        said = np.sign(predicted[rows][:, None] - predicted[rows][None, :])
        differ = true > 0
        if differ.any():
            found.append(float((said[differ] + 1).mean() / 2))
    return _mean(found)


def spearman(scores: Floats, predicted: Floats, groups: NDArray[np.int64]) -> float:
    """Rank correlation, averaged over the groups in which scores differ; a constant prediction counts 0."""
    found = []
    for rows in _groups(groups):
        if len(set(scores[rows].tolist())) < 2:
            continue
        true, said = rankdata(scores[rows]), rankdata(predicted[rows])
        spread = true.std() * said.std()
        found.append(
            float(((true - true.mean()) * (said - said.mean())).mean() / spread) if spread > 0 else 0.0
        )
    return _mean(found)


def _groups(groups: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for group in np.unique(groups):
        yield np.flatnonzero(groups == group)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
