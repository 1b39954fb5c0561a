"""Percentiles of latencies, with intervals that admit where the runs are too few."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from autotune.comparison.result import Measured, Percentile
from autotune.throughput.quantiles import quantile


def percentile_secs(run_secs: Sequence[float], percentile: float) -> float:
    """A percentile of latencies, between the two nearest runs by linear interpolation."""
    return float(np.quantile(np.asarray(run_secs), percentile / 100.0))


def percentile_of(run_secs: Sequence[float], percentile: float) -> Percentile:
    """A percentile with its 95 % interval by order statistics, which allow for runs that are slow together.

    The upper end is open where all runs could be faster than the percentile with more than 2.5 % probability, as for
    the 99th with fewer than 368 runs.
    """
    found = quantile(np.asarray(run_secs), percentile / 100.0)
    secs = percentile_secs(run_secs, percentile)
    return Percentile(secs, min(found.low_secs, secs), found.high_secs)


def measured(run_secs: Sequence[float], size_bytes: int) -> Measured:
    """The latencies of an engine, summarized, without what is known of its process."""
    # Clocks do not tell less than nanoseconds, and a file need not either.
    kept = tuple(max(round(secs, 9), 1e-9) for secs in run_secs)
    p50, p90, p99 = (percentile_of(kept, each) for each in (50.0, 90.0, 99.0))
    return Measured(kept, statistics.fmean(kept), p50, p90, p99, None, None, None, size_bytes)
