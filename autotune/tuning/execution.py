"""Execution of a tuner's measurements: in its own thread, or in the background while other tuners have their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """A call in a daemon thread, started at once, with a result to wait for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._trouble: list[BaseException] = []
        self._thread = threading.Thread(target=self._carry_out, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether there is a result, or an exception in its place."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """Waits for the work's result, or raises its exception."""
        self._thread.join()
        if self._trouble:
            raise self._trouble[0]
        return self._found[0]

    def _carry_out(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._trouble.append(error)


class Execution(Protocol):
    """Runs measurements: in this thread, or in the background."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Returns the work's result, or raises its exception; yields empty lists until it is done."""
        ...


class Inline:
    """Runs each call at once: it needs this machine, which must be idle otherwise."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields nothing."""
        yield from ()
        return work()


class InBackground:
    """Runs each call in a thread, which mostly waits for boards."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields empty lists until the call is done."""
        background = BackgroundCall(work)
        while not background.is_done:
            yield []
        return background.result()
