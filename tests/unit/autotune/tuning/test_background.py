"""Work in a thread: its result, or what it raised, is there for whoever waits."""

import threading

import pytest

from autotune.tuning.execution import BackgroundCall


def test_the_caller_goes_on_until_it_asks_for_the_result() -> None:
    gate = threading.Event()

    def work() -> str:
        assert gate.wait(10)
        return "found"

    background = BackgroundCall(work)
    assert not background.is_done
    gate.set()
    assert background.result() == "found"
    assert background.is_done


def test_what_the_work_raises_is_raised_where_it_is_waited_for() -> None:
    def work() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        BackgroundCall(work).result()
