"""A machine's pace: what counts as drift, what is forgotten, and what a user is told."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.runners.drift import DriftMonitor
from search_spaces import Config

MS = 1e-3


def pace_of(*pulses: float) -> DriftMonitor:
    drift = DriftMonitor()
    for secs in pulses:
        drift.take(secs)
    return drift


def test_the_first_pulse_is_what_later_ones_are_held_against() -> None:
    drift = DriftMonitor()
    assert drift.baseline_secs is None
    assert drift.take(MS)
    assert drift.baseline_secs == MS
    assert drift.warning is None


def test_noise_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    drift = DriftMonitor()
    assert all(drift.take(MS * secs) for secs in rng.normal(1.0, 0.015, 500))
    assert drift.warning is None


def test_a_hog_is_noticed_at_once_and_does_not_become_usual() -> None:
    drift = pace_of(*[MS] * 5)
    assert not any(drift.take(1.5 * MS) for _ in range(100))
    assert drift.baseline_secs == MS
    assert drift.slowdown == pytest.approx(1.5)
    drift.unsteady = {("task", Config((("a", number),))): 1.5 for number in range(8)}
    assert drift.warning is not None
    assert "1.5 times slower" in drift.warning
    assert "8 trials" in drift.warning


def test_a_recovered_machine_is_steady_and_the_lapse_is_told() -> None:
    drift = pace_of(*[MS] * 5, 2 * MS)
    drift.repeated = 8
    assert drift.take(MS)
    assert drift.warning == "the machine was slower for a while: 8 trials were measured anew, 0 could not be"


def test_a_machine_that_gets_faster_was_slow_before() -> None:
    drift = pace_of(*[2 * MS] * 10)
    assert drift.take(MS)
    assert drift.baseline_secs == MS
    assert not drift.take(2 * MS)


def test_slow_change_over_hours_is_followed() -> None:
    drift = DriftMonitor()
    assert all(drift.take(MS * (1 + 0.001 * hour)) for hour in range(300))
