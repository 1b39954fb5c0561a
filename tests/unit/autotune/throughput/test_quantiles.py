"""Intervals of percentiles: how often they hold the truth, and requests that wait for one another."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.throughput.quantiles import design_effect, least_requests, quantile


@pytest.mark.parametrize("count", [600, 1500])
def test_the_interval_of_independent_latencies_holds_the_truth_nearly_always(count: int) -> None:
    rng = np.random.default_rng(0)
    truth = -np.log(0.01)
    found = [quantile(rng.exponential(1.0, count), 0.99) for _ in range(150)]
    inside = [one.low_secs <= truth <= (one.high_secs or np.inf) for one in found]
    assert np.mean(inside) > 0.9


def test_too_few_requests_bound_no_percentile_from_above() -> None:
    few, enough = least_requests(0.99) - 1, 2 * least_requests(0.99)
    assert quantile(np.linspace(0.0, 1.0, few), 0.99).high_secs is None
    rng = np.random.default_rng(0)
    assert quantile(rng.permutation(np.linspace(0.0, 1.0, enough)), 0.99).high_secs is not None
    assert not quantile(np.zeros(few), 0.99).is_within(1.0)


def test_requests_that_are_slow_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    apart = rng.permutation(np.concatenate([np.full(40, 2.0), rng.random(1960)]))
    together = np.concatenate([rng.random(1000), np.full(40, 2.0), rng.random(960)])
    assert design_effect(apart > 1.0) < 2.5
    assert design_effect(together > 1.0) > 10.0
    assert quantile(together, 0.95).low_secs < quantile(apart, 0.95).low_secs
    upper = quantile(np.concatenate([rng.random(900), np.full(15, 2.0), rng.random(1085)]), 0.99).high_secs
    assert upper == 2.0


def test_a_stall_below_the_limit_does_not_hide_that_a_load_holds() -> None:
    rng = np.random.default_rng(0)
    stalled = np.concatenate([rng.random(1000), 3.0 + rng.random(300), rng.random(700)])
    assert quantile(stalled, 0.99).is_within(10.0)
