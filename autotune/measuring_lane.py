"""Where a tuner's measurements take place: here and now, or on boards that work while others have their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Lane(Protocol):
    """Carries out what a device has to do by itself."""

    def go(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Returns what the work returns, or raises what it raises; yields empty lists while it is to be waited for."""
        ...


class ThisLane:
    """The work is done at once: it needs this machine, which nobody else may use meanwhile."""

    def go(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields nothing."""
        return work()
        yield []


class BoardLane:
    """The work is done behind the caller's back, in a thread that mostly waits for boards."""

    def go(self, work: Callable[[], T]) -> Generator[list[Any], None, T]:
        """Yields until it is done."""
        found: list[T] = []
        trouble: list[BaseException] = []

        def carry_out() -> None:
            try:
                found.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                trouble.append(error)

        thread = threading.Thread(target=carry_out, daemon=True)
        thread.start()
        while thread.is_alive():
            yield []
        if trouble:
            raise trouble[0]
        return found[0]
