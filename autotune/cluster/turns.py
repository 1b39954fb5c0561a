"""Turns of machines that compile and measure, so that nothing disturbs a measurement."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol


class Pausable(Protocol):
    """Workers that can be stopped with what they have under way."""

    def pause(self) -> None:
        """Stops them; nothing runs there once this returns."""
        ...

    def resume(self) -> None:
        """Continues what was stopped."""
        ...


class CompilingTurn:
    """A context manager: the turn of workers that compile, which are stopped outside it.

    turns: the lock that whoever measures holds meanwhile.
    """

    def __init__(self, turns: threading.Lock, workers: Pausable) -> None:
        self._turns, self._workers = turns, workers

    def __enter__(self) -> None:
        self._turns.acquire()
        self._workers.resume()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._workers.pause()
        finally:
            self._turns.release()
