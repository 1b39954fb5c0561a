"""Bisection for the largest load, on servers whose capacity is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.throughput.bisection import Bracket, largest_holding
from autotune.throughput.prediction import Prediction, steps
from autotune.throughput.service_times import ServiceTimes
from autotune.throughput.serving_setup import ServingSetup


@given(capacity=st.floats(1.0, 1e4), error=st.floats(0.3, 3.0))
def test_the_capacity_is_bracketed_from_any_guess(capacity: float, error: float) -> None:
    found = largest_holding(lambda load: load <= capacity, capacity * error, 1.03, steps(60))
    assert found.fails_per_second is not None
    assert found.holds_per_second <= capacity < found.fails_per_second
    assert found.fails_per_second <= 1.03 * found.holds_per_second


def test_a_good_guess_needs_few_tests() -> None:
    tried: list[float] = []

    def holds(load: float) -> bool:
        tried.append(load)
        return load <= 100.0

    largest_holding(holds, 96.0, 1.05, steps(60))
    assert len(tried) <= 4


def test_what_was_found_counts_when_the_time_is_over() -> None:
    assert largest_holding(lambda load: load <= 100.0, 90.0, 1.01, steps(1)) == Bracket(90.0, None)
    assert largest_holding(lambda load: load <= 100.0, 200.0, 1.01, steps(1)) == Bracket(0.0, 200.0)
    assert largest_holding(lambda load: True, 200.0, 1.01, steps(0)) == Bracket(0.0, None)


def test_a_server_that_holds_nothing_is_given_up() -> None:
    found = largest_holding(lambda load: False, 100.0, 1.05, steps(1000))
    assert found.holds_per_second == 0.0
    assert found.fails_per_second is not None


@pytest.mark.parametrize(
    ("longer", "refined"),
    [
        ({}, Bracket(96.0, 98.0)),
        ({91.0: True}, Bracket(96.0, 98.0)),
        ({91.0: False, 81.0: True}, Bracket(81.0, 91.0)),
        ({91.0: True, 81.0: False, 67.0: True}, Bracket(96.0, 98.0)),
        ({91.0: False, 81.0: False}, Bracket(72.0, 81.0)),
        ({91.0: False, 70.0: False}, Bracket(0.0, 70.0)),
    ],
)
def test_longer_tests_count_where_shorter_ones_say_something_else(
    longer: dict[float, bool], refined: Bracket
) -> None:
    shorter = {96.0: True, 98.0: False, 72.0: True}
    assert Bracket(96.0, 98.0).refined(longer, shorter) == refined


def prediction(setup: ServingSetup, secs: float) -> Prediction:
    """Service times that are constant, however many instances are busy; a batch of 4 takes twice as long as one."""
    times = {(1, busy, size): np.full(5, secs * (size + 2) / 3) for busy in (1, 2, 3) for size in (1, 4)}
    return Prediction(ServiceTimes(times), setup, 0.0, 0)


@pytest.mark.parametrize("instances", [1, 2, 3])
def test_the_predicted_load_of_constant_calls_is_below_their_rate(instances: int) -> None:
    one = prediction(ServingSetup(instances, 1), 0.01)
    found = one.capacity_per_second(0.05)
    assert 0.5 * instances * 100 < found < instances * 100
    tail = np.quantile(one.latencies(found), 0.99)
    assert tail <= 0.05


def test_the_predicted_load_grows_with_instances_batch_and_limit_and_falls_with_service_times() -> None:
    def held(instances: int, batch: int, secs: float, limit: float) -> float:
        return prediction(ServingSetup(instances, 1, batch), secs).capacity_per_second(limit)

    usual = held(1, 1, 0.01, 0.05)
    assert held(2, 1, 0.01, 0.05) > 1.5 * usual
    assert held(1, 4, 0.01, 0.05) > 1.3 * usual
    assert held(1, 1, 0.01, 0.10) > usual
    assert held(1, 1, 0.02, 0.05) < usual
    assert held(1, 1, 0.06, 0.05) == 0.0


@pytest.mark.parametrize("slowdown", [0.5, 1.0, 2.0])
def test_a_measured_percentile_tells_how_fast_a_server_is(slowdown: float) -> None:
    true = prediction(ServingSetup(1, 1), 0.01 * slowdown)
    load = 0.6 * true.capacity_per_second(0.05)

    found = prediction(ServingSetup(1, 1), 0.01).calibrated(
        load, float(np.quantile(true.latencies(load), 0.99))
    )

    assert found.slowdown == pytest.approx(slowdown, rel=0.02)
    assert found.capacity_per_second(0.05) == pytest.approx(true.capacity_per_second(0.05), rel=0.05)


def test_no_load_beyond_saturation_is_predicted_however_far_away_the_limit_is() -> None:
    fast = prediction(ServingSetup(2, 1), 1e-6)
    assert 1e6 < fast.capacity_per_second(1.0) < 2e6
