"""Scores within a group, in [0, 1]: higher is faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scores_within(secs: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """best_secs / secs within each group, 0 where secs is infinite (a failure); shapes (n,) and (n,)."""
    if not len(secs):
        return np.zeros(0)
    _, rows = np.unique(groups, return_inverse=True)
    best = np.full(int(rows.max()) + 1, np.inf)
    np.minimum.at(best, rows, secs)
    failed = ~np.isfinite(secs)
    return np.where(failed, 0.0, np.where(failed, 1.0, best[rows]) / np.where(failed, 1.0, secs))


def ranks(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores in (0, 1] that order like the losses, the smallest loss first; equal losses have equal scores.

    A pairwise ranker depends on the order only, so losses may have any sign and size.
    """
    values, places = np.unique(losses, return_inverse=True)
    return 1.0 - np.asarray(places, dtype=np.float64) / max(len(values), 1)
