"""What ran on a slow device is repeated once, for at most a tenth of the time, and else told to be unsteady."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autotune.builders.artifact import Artifact
from autotune.runners.drift import is_steady
from autotune.runners.runner import Outcome
from autotune.runners.steady_runner import SteadyRunner
from search_spaces import Config, ToySpace
from tuning_logs import Failure, FailureKind, Timing

TASK = ToySpace(64).task


class Clock:
    """Time that passes only when somebody sleeps or measures."""

    def __init__(self) -> None:
        self.secs = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.secs

    def sleep(self, secs: float) -> None:
        self.sleeps.append(secs)
        self.secs += secs


class ToyRunner:
    """A trial takes 0.1 s and has the next of the slowdowns, and a failure by the number of the run and its name."""

    def __init__(self, clock: Clock, slowdowns: Iterator[float]) -> None:
        self.clock = clock
        self.slowdowns = slowdowns
        self.failures: dict[tuple[int, str], Failure] = {}
        self.ran: list[list[str]] = []
        self.is_closed = False

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        self.ran.append([one.library.name for one in artifacts])
        self.clock.secs += 0.1 * len(artifacts)
        slowdowns = [next(self.slowdowns) for _ in artifacts]
        run = len(self.ran) - 1
        return [
            Outcome(self.failures.get((run, one.library.name)) or Timing((slowdown,), 0.0), None, slowdown)
            for one, slowdown in zip(artifacts, slowdowns, strict=True)
        ]

    def close(self) -> None:
        self.is_closed = True


class Setting:
    """A runner that has been steady for a while, and what it is made of."""

    def __init__(self, *slowdowns: float, age_secs: float = 1000.0) -> None:
        self.clock = Clock()
        self.toy = ToyRunner(self.clock, iter(slowdowns))
        self.runner = SteadyRunner(self.toy, self.clock, self.clock.sleep)
        self.clock.secs += age_secs

    def run(self, *names: str) -> list[Outcome]:
        return self.runner.run(
            [Artifact(TASK, Config((("name", name),)), Path(name), 0.0, ()) for name in names]
        )


def test_on_a_steady_device_nothing_is_repeated() -> None:
    setting = Setting(1.0, 1.02, 1.1)
    outcomes = setting.run("a", "b", "c")
    assert [one.slowdown for one in outcomes] == [1.0, 1.02, 1.1]
    assert setting.toy.ran == [["a", "b", "c"]]
    assert setting.clock.sleeps == []
    assert setting.runner.slowdown == 1.1
    assert setting.runner.repeated == 0


def test_what_a_passing_lapse_touched_is_repeated_after_a_pause() -> None:
    setting = Setting(1.0, 1.7, 1.6, 1.01, 1.02)
    outcomes = setting.run("a", "b", "c")
    assert setting.toy.ran == [["a", "b", "c"], ["b", "c"]]
    assert len(setting.clock.sleeps) == 1
    assert [one.slowdown for one in outcomes] == [1.0, 1.01, 1.02]
    assert [one.measurement for one in outcomes[1:]] == [Timing((1.01,), 0.0), Timing((1.02,), 0.0)]
    assert setting.runner.repeated == 2
    assert is_steady(setting.runner.slowdown)


def test_a_device_that_stays_slow_is_told_and_not_waited_for_again() -> None:
    setting = Setting(*[1.7, 1.7, 1.8, 1.6], *[1.7] * 6)
    outcomes = setting.run("a", "b")
    # Of two slow times, the less slow one.
    assert [one.slowdown for one in outcomes] == [1.7, 1.6]
    assert setting.toy.ran == [["a", "b"], ["a", "b"]]
    for _ in range(3):
        assert not any(is_steady(one.slowdown) for one in setting.run("c", "d"))
    assert len(setting.toy.ran) == 5
    assert len(setting.clock.sleeps) == 1
    assert setting.runner.slowdown == 1.7
    assert setting.runner.repeated == 0


def test_a_device_that_has_recovered_is_waited_for_the_next_time() -> None:
    setting = Setting(1.7, 1.7, 1.0, 1.7, 1.0)
    for name in "abc":
        setting.run(name)
    assert setting.toy.ran == [["a"], ["a"], ["b"], ["c"], ["c"]]
    assert setting.runner.repeated == 1


def test_pauses_and_repeats_take_at_most_a_tenth_of_the_time() -> None:
    setting = Setting(age_secs=0.0)
    for _ in range(100):
        setting.toy.slowdowns = iter([1.0, 1.5, 1.0])
        _, outcome = setting.run("a", "b")
        is_repeated = setting.toy.ran[-1] == ["b"]
        assert is_steady(outcome.slowdown) is is_repeated
    repeat_secs = 0.6 * setting.runner.repeated
    assert 0.05 * setting.clock.secs < repeat_secs <= 0.1 * setting.clock.secs


def test_what_failed_on_a_slow_device_is_not_repeated() -> None:
    setting = Setting(1.5, 1.5)
    setting.toy.failures = {(0, name): Failure(FailureKind.RUN_ERROR, "unhappy") for name in "ab"}
    setting.run("a", "b")
    assert len(setting.toy.ran) == 1


@pytest.mark.parametrize(
    ("kind", "is_kept"), [(FailureKind.WRONG_RESULT, True), (FailureKind.DEVICE_LOST, False)]
)
def test_a_repeat_that_fails_counts_unless_its_device_was_lost(kind: FailureKind, is_kept: bool) -> None:
    setting = Setting(1.5, 1.0)
    failure = Failure(kind, "")
    setting.toy.failures = {(1, "a"): failure}
    [outcome] = setting.run("a")
    assert (outcome.measurement == failure) is is_kept


def test_closing_it_closes_the_runner_within() -> None:
    setting = Setting()
    setting.runner.close()
    assert setting.toy.is_closed
