"""Tests of significance: certain of clear differences, silent on noise."""

import math

import pytest

from tuning_logs import Failure, FailureKind, Timing
from tuning_logs.selection.significance import (
    is_beyond_noise,
    is_significant,
    median_interval,
    wilcoxon_p_value,
)


def test_a_program_that_wins_every_turn_is_significantly_faster() -> None:
    fast = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    slow = [secs + 0.1 + place / 100 for place, secs in enumerate(fast)]
    assert is_significant(wilcoxon_p_value(fast, slow))
    assert not is_significant(wilcoxon_p_value(slow, fast))


def test_turns_that_failed_count_for_nobody_and_equal_ones_decide_nothing() -> None:
    assert wilcoxon_p_value([1.0, math.inf], [1.0, 2.0]) == 1.0
    assert wilcoxon_p_value([], []) == 1.0


def test_a_difference_beyond_noise_leaves_the_quartiles_apart() -> None:
    fast, slow = Timing((1.0, 1.1, 1.2), 0.1), Timing((1.3, 1.4, 1.5), 0.1)
    assert is_beyond_noise(fast, slow)
    assert not is_beyond_noise(slow, fast)
    assert not is_beyond_noise(fast, Timing((1.0, 1.1, 1.5), 0.1))
    assert not is_beyond_noise(fast, Failure(FailureKind.RUN_ERROR, "it crashed"))


def test_the_interval_of_a_median_grows_with_drift() -> None:
    low, high = median_interval([1.0, 1.01, 0.99, 1.0] * 25)
    assert low == pytest.approx(high, rel=0.01)
    assert median_interval([1.0] * 50 + [2.0] * 50) == (1.0, 2.0)
