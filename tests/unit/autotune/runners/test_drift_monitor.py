"""A device's drift: what counts as slow, what is forgotten, and what a user is told."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.runners.drift import DriftMonitor, drift_warning, is_steady

MS = 1e-3


def monitor_after(*reference_secs: float) -> DriftMonitor:
    drift = DriftMonitor()
    for secs in reference_secs:
        drift.observe(secs)
    return drift


def test_the_first_time_is_what_later_ones_are_held_against() -> None:
    drift = DriftMonitor()
    assert drift.baseline_secs is None
    assert drift.observe(MS) == 1.0
    assert drift.baseline_secs == MS


def test_noise_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    drift = DriftMonitor()
    assert all(is_steady(drift.observe(MS * secs)) for secs in rng.normal(1.0, 0.015, 500))


def test_a_hog_is_noticed_at_once_and_does_not_become_usual() -> None:
    drift = monitor_after(*[MS] * 5)
    assert not any(is_steady(drift.observe(1.5 * MS)) for _ in range(100))
    assert drift.baseline_secs == MS
    assert drift.slowdown == pytest.approx(1.5)


def test_a_device_that_recovers_is_steady() -> None:
    drift = monitor_after(*[MS] * 5, 2 * MS)
    assert is_steady(drift.observe(MS))


def test_a_device_that_gets_faster_was_slow_before() -> None:
    drift = monitor_after(*[2 * MS] * 10)
    assert is_steady(drift.observe(MS))
    assert drift.baseline_secs == MS
    assert not is_steady(drift.observe(2 * MS))


def test_slow_change_over_hours_is_followed() -> None:
    drift = DriftMonitor()
    assert all(is_steady(drift.observe(MS * (1 + 0.001 * hour))) for hour in range(300))


def test_a_user_is_told_of_a_machine_that_is_slow_and_of_one_that_was() -> None:
    assert drift_warning(1.0, 0, 0) is None
    now = drift_warning(1.5, 0, 8)
    assert now is not None
    assert "1.5 times slower" in now
    assert "8 trials" in now
    assert drift_warning(1.0, 8, 0) == (
        "the machine was slower for a while: 8 trials were measured anew, 0 could not be"
    )
