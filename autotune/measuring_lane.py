"""Where a tuner's measurements take place: here and now, or on boards that work while others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

from autotune.background import Background

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
        background = Background(work)
        while not background.is_done:
            yield []
        return background.result()
