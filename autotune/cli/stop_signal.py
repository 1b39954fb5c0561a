"""SIGINT, SIGTERM and SIGHUP as a request to stop, rather than an exception at any place."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from autotune.cli.console import note

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignal:
    """While entered, the first SIGINT, SIGTERM or SIGHUP calls `stop`; the second raises KeyboardInterrupt."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.was_received = False
        self._stop = stop
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}

    def __enter__(self) -> StopSignal:
        for number in _SIGNALS:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.was_received:
            raise KeyboardInterrupt
        self.was_received = True
        self._stop()
        note("stopping once the round under way is measured; again to stop at once")
