"""Statistical tests of which of two programs is faster, all at one level of significance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from tuning_logs.records.measurement import Measurement, Timing

#: The probability of an error of the first kind: p-values below it are significant, intervals cover the rest (95 %).
SIGNIFICANCE: Final = 0.05
_STRETCHES: Final = 10
_RESAMPLES: Final = 1000


def is_significant(p_value: float) -> bool:
    """Whether a test rejects that there is no difference (p below 5 %)."""
    return p_value < SIGNIFICANCE


def wilcoxon_p_value(fast: Sequence[float], slow: Sequence[float]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that `fast` is faster, over pairs of seconds of the same turn.

    Pairs with an infinite time (a failure) are left out; 1.0 where no pair differs.
    """
    pairs = [(a, b) for a, b in zip(fast, slow, strict=True) if a < math.inf and b < math.inf]
    differences = [b - a for a, b in pairs]
    if not any(differences):
        return 1.0
    from scipy.stats import wilcoxon  # takes half a second to load, and most callers never test

    return float(wilcoxon(differences, alternative="greater").pvalue)


def is_beyond_noise(fast: Measurement, slow: Measurement) -> bool:
    """Whether one ran faster than the other beyond the scatter of unpaired repeats: the upper quartile of the faster
    one's is below the lower quartile of the other's. False where either failed."""
    if not isinstance(fast, Timing) or not isinstance(slow, Timing):
        return False
    return bool(np.quantile(fast.usual_secs, 0.75) < np.quantile(slow.usual_secs, 0.25))


def ratio_interval(slow_secs: Sequence[float], fast_secs: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median of how many times faster one of two programs was, over turns in their order."""
    return median_interval([slow / fast for slow, fast in zip(slow_secs, fast_secs, strict=True)])


def median_interval(run_secs: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median of runs in their order, by a bootstrap of ten stretches: neighbouring runs are
    correlated."""
    rng = np.random.default_rng(0)
    stretches = np.array_split(np.asarray(run_secs), min(_STRETCHES, len(run_secs)))
    found = [
        float(np.median(np.concatenate([stretches[number] for number in drawn])))
        for drawn in rng.integers(len(stretches), size=(_RESAMPLES, len(stretches)))
    ]
    low, high = np.quantile(found, [SIGNIFICANCE / 2, 1 - SIGNIFICANCE / 2])
    return float(low), float(high)
