"""Arrival times of requests: a Poisson process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]


def poisson_arrivals(per_second: float, count: int, rng: np.random.Generator) -> Seconds:
    """Times of `count` arrivals in seconds, ascending, with independent exponential gaps of mean 1 / per_second."""
    return np.cumsum(rng.exponential(1.0 / per_second, count))
