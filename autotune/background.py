"""Work that a thread does while whoever wants it does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
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
