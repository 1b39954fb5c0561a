"""Poisson arrivals: gaps, counts, and one seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autotune.throughput.arrivals import poisson_arrivals


@pytest.mark.parametrize("rate", [0.5, 40.0, 3000.0])
def test_gaps_are_exponential(rate: float) -> None:
    arrivals = poisson_arrivals(rate, 5000, np.random.default_rng(1))
    gaps = np.diff(arrivals, prepend=0.0)
    assert np.all(gaps > 0)
    assert stats.kstest(gaps * rate, "expon").pvalue > 0.01
    assert np.corrcoef(gaps[:-1], gaps[1:])[0, 1] == pytest.approx(0.0, abs=0.05)


def test_counts_of_equal_intervals_vary_as_much_as_their_mean() -> None:
    arrivals = poisson_arrivals(200.0, 20_000, np.random.default_rng(2))
    counts, _ = np.histogram(arrivals, bins=np.arange(0.0, 95.0, 0.1))
    assert counts.mean() == pytest.approx(20.0, rel=0.05)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.15)


def test_one_seed_gives_the_same_arrivals_at_every_load_but_for_the_scale() -> None:
    slow = poisson_arrivals(10.0, 100, np.random.default_rng(3))
    fast = poisson_arrivals(40.0, 100, np.random.default_rng(3))
    assert slow / fast == pytest.approx(np.full(100, 4.0))
