"""Percentiles of latencies and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from autotune.comparison.percentiles import measured, percentile_of, percentile_secs

RUNS = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=60)


@examples(20)
@given(RUNS, st.floats(1.0, 99.9))
def test_a_percentile_lies_within_its_interval_and_the_runs(run_secs: list[float], percentile: float) -> None:
    found = percentile_of(run_secs, percentile)
    assert min(run_secs) <= found.low_secs
    assert found.secs <= max(run_secs)
    if found.high_secs is not None:
        assert found.low_secs <= found.high_secs <= max(run_secs)


def test_percentiles_are_numpys() -> None:
    run_secs = np.random.default_rng(0).gamma(9.0, 1e-3, 999)
    assert percentile_secs(list(run_secs), 90.0) == pytest.approx(np.percentile(run_secs, 90.0))


def test_the_upper_end_is_open_where_runs_are_too_few_to_see_it() -> None:
    run_secs = list(np.random.default_rng(0).gamma(9.0, 1e-3, 368))
    assert percentile_of(run_secs, 99.0).high_secs is not None
    assert percentile_of(run_secs[:367], 99.0).high_secs is None
    assert percentile_of(run_secs[:36], 90.0).high_secs is not None
    assert percentile_of(run_secs[:35], 90.0).high_secs is None
    assert percentile_of(run_secs[:6], 50.0).high_secs is not None


def test_nineteen_of_twenty_intervals_hold_the_true_percentile() -> None:
    rng = np.random.default_rng(1)
    true_secs = float(np.quantile(rng.gamma(9.0, 1e-3, 1_000_000), 0.9))
    found = [percentile_of(list(rng.gamma(9.0, 1e-3, 400)), 90.0) for _ in range(24)]
    held = [one.low_secs <= true_secs <= (one.high_secs or np.inf) for one in found]
    # Twenty-four are few.
    assert sum(held) >= 21


def test_the_summary_keeps_the_runs_in_order_and_their_mean() -> None:
    found = measured([0.002, 0.001, 0.003], 7)
    assert found.run_secs == (0.002, 0.001, 0.003)
    assert (found.mean_secs, found.p50.secs, found.size_bytes) == (pytest.approx(0.002), 0.002, 7)
    assert found.throughput_per_second == pytest.approx(500.0)
