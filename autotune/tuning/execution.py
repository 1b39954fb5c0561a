"""Where a tuner's measurements take place: here and now, or on boards that work while others have their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """Begins at once. The thread does not keep the process alive: what it waits for ends when that is closed."""

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
        """Waits for what the work returns, or raises what it raised."""
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
    """Carries out what a device has to do by itself."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Returns what the work returns, or raises what it raises; yields empty lists while it is to be waited for."""
        ...


class Inline:
    """The work is done at once: it needs this machine, which nobody else may use meanwhile."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields nothing."""
        return work()
        yield []


class InBackground:
    """The work is done behind the caller's back, in a thread that mostly waits for boards."""

    def run(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields until it is done."""
        background = BackgroundCall(work)
        while not background.is_done:
            yield []
        return background.result()
