"""Threads that do not help are refused before anything is timed with them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from autotune.devices.device import local_device
from autotune.runners.local_runner import LocalRunner
from autotune.runners.thread_scaling import check_threads
from search_spaces.errors import AutotuneError

pytestmark = pytest.mark.alone


@pytest.fixture
def one_core() -> Iterator[None]:
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    yield
    os.sched_setaffinity(0, usable)


def test_one_thread_needs_no_check() -> None:
    device = local_device(threads=1)
    with LocalRunner(device) as runner:
        assert check_threads(device, runner) == 1.0


def test_threads_without_cores_are_refused_with_advice(
    one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each further look is another chance for a neighbour to make one thread look slow.
    monkeypatch.setattr("autotune.runners.thread_scaling._PATIENCE_SECS", 1.0)
    device = local_device()
    crowded = type(device)("local", device.target.with_attr("num-cores", 4), "local", device.fingerprint)
    with (
        LocalRunner(crowded) as runner,
        pytest.raises(AutotuneError, match=r"expected 4 threads .* 'local\?threads=1'"),
    ):
        check_threads(crowded, runner)


def test_a_target_that_does_not_fit_the_machine_is_named() -> None:
    device = local_device()
    foreign = device.target.with_attr("mtriple", "aarch64-linux-gnu").with_attr("mcpu", "cortex-a76")
    crowded = type(device)("board", foreign.with_attr("num-cores", 2), "local", device.fingerprint)
    with LocalRunner(crowded) as runner, pytest.raises(AutotuneError, match="check that the target fits"):
        check_threads(crowded, runner)
