"""A study of a simulated target, whose capacity follows from its service times."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from simulated_target import SimulatedTarget

from autotune.throughput.arrivals import Seconds
from autotune.throughput.capacity_result import CapacityResult, result_document
from autotune.throughput.confirmation import Confirmation, RunSettings, Spare
from autotune.throughput.screening import Screening, SearchSettings, setups
from autotune.throughput.serving_setup import ServingSetup
from autotune.throughput.study import StudySettings, study
from autotune.throughput.study_result import Subject, capacity_result

LIMIT = 0.02
ENDLESS = Spare(lambda: 1e9, lambda: 1e9)


def search_settings(target: SimulatedTarget) -> SearchSettings:
    return SearchSettings(2, target.sizes, LIMIT, 0.0, 0.1, 0)


def test_every_setup_is_screened_once_and_slow_ones_are_pruned() -> None:
    target = SimulatedTarget()
    screening = Screening(target, search_settings(target))
    found = screening.search(lambda: True)
    assert sorted(one.setup for one in found) == sorted(setups(search_settings(target)))
    assert len(set(target.timed)) == len(target.timed)
    assert found[0].setup.batch == 4
    pruned = [one for one in found if one.predicted_per_second is None]
    best = found[0].predicted_per_second
    assert pruned
    assert best is not None
    assert all(one.reason and one.saturated_per_second < best for one in pruned)


def test_large_machines_are_sampled() -> None:
    settings = SearchSettings(64, (1, 2, 4, 8), LIMIT, 0.0, 0.1, 0)
    assert len(setups(settings)) > 500
    assert settings.thread_counts == (1, 2, 4, 8, 16, 32, 64)
    assert settings.one_after_the_other == ServingSetup(1, 64, 1)


def test_the_first_trial_is_one_request_after_the_other_and_the_time_ends_the_search() -> None:
    target = SimulatedTarget()
    found = Screening(target, search_settings(target)).search(lambda: False)
    assert [one.setup for one in found] == [ServingSetup(1, 2, 1)]


def test_a_study_finds_what_the_setups_hold() -> None:
    target = SimulatedTarget()
    # So long that the simulated runs, which take no time, have many requests.
    settings = StudySettings(LIMIT, 200.0, 2)
    findings = study(target, settings, lambda _: None)
    assert findings.best.batch == 4
    assert findings.baseline == ServingSetup(1, 2, 1)
    held, alone = findings.bracket.holds_per_second, findings.baseline_bracket.holds_per_second
    # One instance answers at most 400 a second one after the other, two at one thread 1333 in batches of four.
    assert 260 < alone < 400
    assert 1.5 * alone < held < 1333
    assert 0.7 * held < findings.held_per_second < 1.05 * held
    assert held == pytest.approx(findings.predicted_per_second, rel=0.1)
    curve = [one.p99.secs for one in findings.curve]
    assert len(curve) > 4
    assert max(curve[:2]) < min(curve[-2:])
    assert all(one.meets for one in findings.curve if one.offered_per_second <= 0.9 * held)


def test_the_load_of_a_known_server_is_found_by_runs() -> None:
    target = SimulatedTarget()
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    setup = ServingSetup(1, 2, 1)
    exact = Screening(target, search_settings(target))
    exact.search(lambda: False)
    predicted = exact.prediction(setup)

    found = confirmation.bracket(predicted, 200.0, 1.02, ENDLESS)

    assert found.holds_per_second == pytest.approx(predicted.capacity_per_second(LIMIT), rel=0.05)


def test_a_setup_that_met_the_limit_at_no_load_is_given_more_time() -> None:
    # Whatever disturbs the first loads.
    target = SimulatedTarget(stalls=(0, 1, 2, 3))
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    screening = Screening(target, search_settings(target))
    screening.search(lambda: False)
    predicted = screening.prediction(ServingSetup(1, 2, 1))

    def bracket(spare: Spare) -> float:
        confirmation.points.clear()
        target.offered.clear()
        return confirmation.bracket(predicted, 200.0, 1.02, spare).holds_per_second

    assert bracket(Spare(lambda: 0.0, lambda: 0.0)) == 0.0
    assert bracket(Spare(lambda: 0.0, lambda: 1e9)) > 100.0


def test_no_load_beyond_the_expected_one_holds_for_sure() -> None:
    target = SimulatedTarget()
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    setup = ServingSetup(1, 2, 1)
    for load in (50.0, 100.0, 150.0):
        assert confirmation.run(setup, load).holds

    assert confirmation.held_per_second(setup, 120.0) == 100.0
    assert confirmation.held_per_second(setup, 40.0) == 0.0


def test_a_guess_far_too_low_costs_few_tests() -> None:
    target = SimulatedTarget()
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    exact = Screening(target, search_settings(target))
    exact.search(lambda: False)
    # As where the host had no time for what the calls were measured with: they took twice as long as they do.
    predicted = replace(exact.prediction(ServingSetup(1, 2, 1)), slowdown=2.0)
    held = replace(predicted, slowdown=1.0).capacity_per_second(LIMIT)

    found = confirmation.bracket(predicted, 0.4 * held, 1.06, ENDLESS)

    assert found.holds_per_second == pytest.approx(held, rel=0.07)
    assert len({one.offered_per_second for one in confirmation.points}) <= 6


@pytest.mark.parametrize(
    ("stalls", "meets", "runs"), [((), True, 2), ((0,), True, 3), ((0, 1), False, 2), ((1, 2), False, 3)]
)
def test_the_median_run_of_three_decides(stalls: tuple[int, ...], meets: bool, runs: int) -> None:
    target = SimulatedTarget(stalls=stalls)
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 1.0), np.random.default_rng(0))
    assert confirmation.meets(ServingSetup(1, 2, 1), 100.0) is meets
    assert len(confirmation.points) == runs


def test_setups_are_predicted_as_they_are_served() -> None:
    class Served(SimulatedTarget):
        def served_per_second(self, setup: ServingSetup, _secs: float) -> float:
            """Batches do not pay before the server, whose share is that of the calls."""
            return 250.0 if setup.batch > 1 else 300.0

    target = Served()
    screening = Screening(target, search_settings(target))
    screening.search(lambda: True)
    found = screening.served(lambda: True)
    expected = [one for one in found if one.predicted_per_second is not None]
    assert expected == list(found[: len(expected)])
    assert {one.setup for one in expected} >= {ServingSetup(1, 2, 1)}
    assert all(
        (one.predicted_per_second or 0.0) < (one.served_per_second or 0.0) <= 300.0 for one in expected
    )
    assert found[0].setup.batch == 1
    assert all(one.reason for one in found[len(expected) :])


def test_the_interval_of_a_load_that_holds_is_within_the_limit() -> None:
    confirmation = Confirmation(SimulatedTarget(), RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    setup = ServingSetup(1, 2, 1)
    confirmation.make_sure(setup, 286.0, lambda: 120.0)
    held = confirmation.held_per_second(setup, math.inf)
    assert 0.8 * 286.0 <= held <= 0.95 * 286.0
    assert confirmation.points[-1].p99.is_within(LIMIT)


def test_a_result_is_a_document_with_its_price() -> None:
    settings = StudySettings(LIMIT, 200.0, 2)
    subject = Subject("squeezenet", "a processor", "local", 0.36, "calls", ("a notice",))
    result = capacity_result(study(SimulatedTarget(), settings, lambda _: None), settings, subject, 1.0)
    document = result_document(result)
    per_million = 0.36 / 3600 / result.throughput_per_second * 1e6
    assert document["dollars_per_million"] == pytest.approx(per_million)
    assert document["gain"] == result.gain
    assert result.notices == ("a notice",)
    assert msgspec.json.decode(msgspec.json.encode(result), type=CapacityResult) == result


def test_runs_find_a_load_where_slow_calls_make_the_simulation_expect_none() -> None:
    class Busy(SimulatedTarget):
        def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
            """One call in eight is slower than the limit, as beside other programs."""
            found = super().saturated_secs(setup, secs)
            found[0] = 2 * LIMIT
            return found

    findings = study(Busy(sizes=(1,)), StudySettings(LIMIT, 200.0, 2), lambda _: None)
    assert findings.predicted_per_second == 0.0
    assert findings.bracket.holds_per_second > 200.0
    assert findings.held_per_second > 150.0


def test_a_load_far_below_the_one_that_met_the_limit_once_is_made_sure() -> None:
    target = SimulatedTarget(stalls=tuple(range(3)))
    confirmation = Confirmation(target, RunSettings(2, LIMIT, 0.0, 60.0), np.random.default_rng(0))
    setup = ServingSetup(1, 2, 1)
    confirmation.make_sure(setup, 286.0, lambda: 120.0)
    assert confirmation.held_per_second(setup, math.inf) == pytest.approx(0.5 * 286.0, rel=0.01)
    assert len(confirmation.points) == 4
