"""The number of threads that a job goes on with, and what it says of them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.devices.device import Device, local_device
from autotune.machine.allowance import Allowance, allowance_of
from autotune.runners.thread_choice import fastest, patience_secs, with_fastest_threads
from autotune.runners.thread_scaling import LEAST_SPEEDUP, best_speedup
from autotune.runners.thread_watch import ThreadWatch
from search_spaces.errors import AutotuneError
from tests.support.fake_machine import version_2


class Looks:
    """A runner whose looks find these speedups, the last one again and again."""

    def __init__(self, *speedups: float) -> None:
        self.waiting = list(speedups)
        self.count = 0

    def thread_speedup(self) -> float:
        self.count += 1
        return self.waiting.pop(0) if len(self.waiting) > 1 else self.waiting[0]


class Broken:
    def thread_speedup(self) -> float:
        raise AutotuneError("broken", code="AT408")


class Clock:
    secs = 0.0

    def __call__(self) -> float:
        return self.secs


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A machine with 16 processors."""
    many = Allowance(tuple(range(16)), 16, 8, 1 << 34, 1 << 33)
    monkeypatch.setattr("autotune.devices.device.read_allowance", lambda: many)
    return replace(local_device(), name="desk", price_per_hour=0.5)


def opener(speedups: Mapping[int, float]) -> Callable[[Device], AbstractContextManager[Looks]]:
    @contextmanager
    def open_runner(device: Device) -> Iterator[Looks]:
        yield Looks(speedups[device.threads])

    return open_runner


def test_threads_that_are_faster_are_kept(big: Device) -> None:
    assert fastest(big, 0.0, opener({16: 3.0})) is big


@pytest.mark.parametrize(
    ("speedups", "threads"),
    [
        ({16: 0.9, 8: 5.0, 4: 3.0, 2: 1.9}, 8),
        ({16: 0.9, 8: 1.2, 4: 3.0, 2: 1.9}, 4),
        ({16: 1.0, 8: 1.0, 4: 1.0, 2: 1.0}, 1),
    ],
)
def test_the_fastest_number_of_threads_is_taken_and_said(
    big: Device, speedups: dict[int, float], threads: int
) -> None:
    found = fastest(big, 0.0, opener(speedups))
    assert found.threads == threads == found.fingerprint.facts["threads"]
    assert (found.name, found.connection, found.price_per_hour) == ("desk", "local", 0.5)
    assert f"local?threads={threads}" in str(found.notice)


def test_an_explicit_number_of_threads_is_obeyed(big: Device) -> None:
    explicit = local_device(4)
    assert with_fastest_threads(explicit, 0.0) is explicit


@given(st.floats(0.0, 1e9))
def test_a_busy_machine_is_waited_for_a_few_seconds_of_a_budget_at_most(secs: float) -> None:
    assert 1.0 <= patience_secs(secs) <= 5.0


def test_without_a_limit_on_time_a_busy_machine_is_waited_for_longer() -> None:
    assert patience_secs(None) == 30.0


def test_one_slow_look_decides_nothing() -> None:
    runner = Looks(0.5, 0.7, 1.9)
    assert best_speedup(runner, 10.0) == 1.9
    assert runner.count == 3
    assert best_speedup(Looks(0.5, 0.7, 0.6), 0.3) < LEAST_SPEEDUP


def test_a_watch_looks_less_and_less_often(big: Device) -> None:
    clock, runner = Clock(), Looks(2.0)
    watch = ThreadWatch(big, runner, clock)
    while clock.secs < 3600:
        watch.look()
        clock.secs += 1
    assert runner.count == 10  # 0, 30, 90, 210, 450, 930 s, then every ten minutes
    assert watch.warning is None


def test_a_watch_tells_of_threads_that_lose_and_that_have_recovered(
    big: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.runners.thread_watch._PATIENCE_SECS", 0.0)
    clock = Clock()
    watch = ThreadWatch(big, Looks(2.0, 0.8, 2.0), clock)
    said = []
    for clock.secs in (0.0, 40.0, 200.0):
        watch.look()
        said.append(watch.warning)
    assert said[0] is None
    assert "16 threads are 0.80 times as fast as one, 2.00 times at the start" in str(said[1])
    assert "at 1 of 3 looks" in str(said[2])


def test_a_watch_tells_of_a_quota_that_has_changed(big: Device, tmp_path: Path) -> None:
    clock = Clock()
    root = version_2(tmp_path, "/a", {})
    watch = ThreadWatch(local_device(1), Looks(2.0), clock, lambda: allowance_of(range(16), root))
    watch.look()
    assert watch.warning is None
    (root / "sys/fs/cgroup/a/cpu.max").write_text("50000 100000")
    clock.secs = 40.0
    watch.look()
    assert "0.5 of 16 processors" in str(watch.warning)


def test_a_kernel_that_does_not_run_is_an_error_at_the_start_only(big: Device) -> None:
    clock, runner = Clock(), Looks(2.0)
    with pytest.raises(AutotuneError):
        ThreadWatch(big, Broken(), clock).look()
    watch = ThreadWatch(big, runner, clock)
    watch.look()
    runner.thread_speedup = Broken().thread_speedup  # type: ignore[method-assign]
    clock.secs = 40.0
    watch.look()
    assert watch.warning is None
