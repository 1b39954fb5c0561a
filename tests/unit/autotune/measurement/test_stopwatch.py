"""The stopwatch spends little on what is slow and enough on what may win, judged by a kernel with a script."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest

from autotune.measurement.stopwatch import Stopwatch


class ScriptedKernel:
    """Takes the given seconds, call after call, and counts the calls."""

    def __init__(self, secs: Iterable[float]) -> None:
        self._secs = iter(secs)
        self.numbers: list[int] = []

    def __call__(self, number: int) -> float:
        self.numbers.append(number)
        return next(self._secs)


def steady(secs: float) -> ScriptedKernel:
    return ScriptedKernel(itertools.repeat(secs))


def test_a_kernel_far_behind_is_not_run_again() -> None:
    kernel = steady(1.0)
    reading = Stopwatch().read(1.0, kernel, best_secs=0.1)
    assert reading.censored
    assert reading.run_secs == (1.0,)
    assert kernel.numbers == []


def test_a_tiny_kernel_gets_a_second_look_long_enough_to_see_past_a_cold_start() -> None:
    kernel = steady(1e-5)
    reading = Stopwatch().read(1e-4, kernel, best_secs=1e-5)
    assert not reading.censored
    assert kernel.numbers[0] >= 10
    assert reading.run_secs[0] == 1e-5


def test_a_kernel_slow_on_second_look_is_censored_with_that_time() -> None:
    kernel = steady(5e-4)
    reading = Stopwatch().read(6e-4, kernel, best_secs=1e-4)
    assert reading.censored
    assert reading.run_secs == (5e-4,)
    assert len(kernel.numbers) == 1


def test_a_clear_loser_gets_few_repeats() -> None:
    noisy = ScriptedKernel(itertools.cycle([2.0e-3, 2.6e-3]))
    reading = Stopwatch().read(2e-3, noisy, best_secs=1e-3)
    assert not reading.censored
    assert len(reading.run_secs) == 3


def test_a_steady_contender_stops_once_its_median_is_known() -> None:
    assert len(Stopwatch().read(1e-3, steady(1e-3), best_secs=1e-3).run_secs) == 5


def test_a_noisy_contender_is_repeated_until_the_budget_is_spent() -> None:
    noisy = ScriptedKernel(itertools.cycle([1.0e-3, 1.2e-3, 0.9e-3]))
    assert len(Stopwatch(max_repeats=12).read(1e-3, noisy, best_secs=1e-3).run_secs) == 12
    noisy = ScriptedKernel(itertools.cycle([0.05, 0.06]))
    assert len(Stopwatch(budget_secs=0.15).read(0.05, noisy, best_secs=math.inf).run_secs) == 3


def test_a_very_slow_kernel_is_run_once_more_only() -> None:
    assert Stopwatch().read(0.5, steady(0.4), best_secs=math.inf).run_secs == (0.4,)


@pytest.mark.parametrize("best_secs", [3.0, math.inf])
def test_a_cold_start_does_not_show_in_seconds_so_they_are_not_measured_again(best_secs: float) -> None:
    kernel = steady(3.0)
    reading = Stopwatch().read(3.0, kernel, best_secs)
    assert not reading.censored
    assert reading.run_secs == (3.0,)
    assert kernel.numbers == []


def test_repeats_grow_when_the_first_run_was_slower_than_the_kernel() -> None:
    kernel = steady(1e-6)
    Stopwatch().read(1e-3, kernel, best_secs=math.inf)
    assert kernel.numbers[0] == 2
    assert kernel.numbers[1] >= 2000


@pytest.mark.parametrize("flush_bytes", [0, 1 << 20])
def test_flushing_caches_leaves_one_call_to_a_repeat(flush_bytes: int) -> None:
    kernel = steady(1e-5)
    Stopwatch(flush_bytes=flush_bytes).read(1e-5, kernel, best_secs=math.inf)
    assert (set(kernel.numbers) == {1}) == bool(flush_bytes)
