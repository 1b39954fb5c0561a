"""Quantiles of latencies with confidence intervals that allow for requests which wait for one another."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from autotune.throughput.arrivals import Seconds

#: Of the intervals, two-sided.
CONFIDENCE = 0.95
_BLOCKS = 20
_TAIL = (1.0 - CONFIDENCE) / 2.0
_CANDIDATES = 60


class Quantile(msgspec.Struct, frozen=True):
    """A quantile in seconds with its interval; high is None where there are too few requests to bound it."""

    secs: float
    low_secs: float
    high_secs: float | None

    def is_within(self, limit_secs: float) -> bool:
        """Whether the upper end of the interval is within the limit."""
        return self.high_secs is not None and self.high_secs <= limit_secs


def quantile(latencies: Seconds, share: float) -> Quantile:
    """A quantile of latencies in the order of arrival, with its interval by order statistics.

    Slow requests come in clusters, so their number and that of all requests are divided by the design effect
    (Kish, 1965) of those above the end of the interval.
    """
    ordered = np.sort(latencies)
    secs = float(np.quantile(ordered, share, method="inverted_cdf"))
    effective = math.floor(len(ordered) / design_effect(latencies > secs))
    low = _counted(_TAIL, effective, share) / effective
    lowest = float(ordered[max(math.floor(low * len(ordered)) - 1, 0)])
    return Quantile(secs, min(lowest, secs), _upper_end(latencies, ordered, share))


def _upper_end(latencies: Seconds, ordered: Seconds, share: float) -> float | None:
    """The smallest latency that so few requests exceed that the quantile is below it, at the level of confidence."""
    found: float | None = None
    first = min(math.ceil(share * len(ordered)), len(ordered) - 1)
    for rank in np.unique(np.linspace(first, len(ordered) - 1, _CANDIDATES).astype(int))[::-1]:
        over = latencies > ordered[rank]
        effect = design_effect(over)
        count = math.floor(len(ordered) / effect)
        if math.ceil(np.sum(over) / effect) > count - _counted(1.0 - _TAIL, count, share) - 1:
            break
        found = float(ordered[rank])
    return found


def _counted(probability: float, count: int, share: float) -> float:
    """A quantile of the number of requests, of so many, that are below a quantile of latencies."""
    from scipy.stats import binom  # takes half a second to load, and most commands never ask

    return float(binom.ppf(probability, count, share))


def design_effect(marked: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """The variance of a share over blocks of consecutive requests by that of independent ones, at least 1."""
    block = len(marked) // _BLOCKS
    share = float(np.mean(marked)) if len(marked) else 0.0
    if block < 2 or not 0.0 < share < 1.0:
        return 1.0
    means = marked[: block * _BLOCKS].reshape(_BLOCKS, block).mean(axis=1)
    return max(float(np.var(means, ddof=1)) / (share * (1.0 - share) / block), 1.0)


def least_requests(share: float) -> int:
    """The fewest independent requests whose order statistics bound a quantile from above."""
    return math.ceil(math.log(_TAIL) / math.log(share))
