"""A machine's pace: what counts as drift, what is forgotten, and what a user is told."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.runners.drift import Pace
from search_spaces import Config

MS = 1e-3


def pace_of(*pulses: float) -> Pace:
    pace = Pace()
    for secs in pulses:
        pace.take(secs)
    return pace


def test_the_first_pulse_is_what_later_ones_are_held_against() -> None:
    pace = Pace()
    assert pace.usual_secs is None
    assert pace.take(MS)
    assert pace.usual_secs == MS
    assert pace.warning is None


def test_noise_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    pace = Pace()
    assert all(pace.take(MS * secs) for secs in rng.normal(1.0, 0.015, 500))
    assert pace.warning is None


def test_a_hog_is_noticed_at_once_and_does_not_become_usual() -> None:
    pace = pace_of(*[MS] * 5)
    assert not any(pace.take(1.5 * MS) for _ in range(100))
    assert pace.usual_secs == MS
    assert pace.slowdown == pytest.approx(1.5)
    pace.in_doubt = {("task", Config((("a", number),))): 1.5 for number in range(8)}
    assert pace.warning is not None
    assert "1.5 times slower" in pace.warning
    assert "8 trials" in pace.warning


def test_a_recovered_machine_is_steady_and_the_lapse_is_told() -> None:
    pace = pace_of(*[MS] * 5, 2 * MS)
    pace.measured_anew = 8
    assert pace.take(MS)
    assert pace.warning == "the machine was slower for a while: 8 trials were measured anew, 0 could not be"


def test_a_machine_that_gets_faster_was_slow_before() -> None:
    pace = pace_of(*[2 * MS] * 10)
    assert pace.take(MS)
    assert pace.usual_secs == MS
    assert not pace.take(2 * MS)


def test_slow_change_over_hours_is_followed() -> None:
    pace = Pace()
    assert all(pace.take(MS * (1 + 0.001 * hour)) for hour in range(300))
