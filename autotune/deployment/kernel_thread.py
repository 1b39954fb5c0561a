"""Threads that TVM's kernels are called in, kept for the next pool when one is dropped."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, cast

T = TypeVar("T")


class KernelThread:
    """A thread that makes calls one after another, until the program ends.

    start: called in the thread first. It is a daemon, so that threads which outlive the main thread can still call.
    """

    def __init__(self, start: Callable[[], None]) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, args=(start,), name="autotune-kernels", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], T]) -> T:
        """The result of the call; raises what it raises."""
        waiting = _Call(call)
        self._calls.put(waiting)
        waiting.ended.acquire()
        if waiting.error is not None:
            raise waiting.error
        return cast("T", waiting.result)

    def end(self) -> None:
        """Waits for the call under way, and ends the thread."""
        self._calls.put(None)
        self._thread.join()

    def _serve(self, start: Callable[[], None]) -> None:
        start()
        while (taken := self._calls.get()) is not None:
            try:
                taken.result = taken.call()
            except BaseException as error:  # noqa: BLE001 - the caller's to judge
                taken.error = error
            taken.ended.release()
            # Until the next call comes, inputs and outputs would stay in memory.
            del taken


class _Call:
    """A call, and what came of it once it ended; a future takes 10 microseconds more."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = Lock()
        self.ended.acquire()


#: All threads and those without a pool, by process: a forked child has none of its parent's.
_all: dict[int, list[KernelThread]] = {}
_idle: dict[tuple[int, int | None], list[KernelThread]] = {}


def idle_threads(size: int | None) -> list[KernelThread]:
    """The list of this process's threads of one size that no pool uses, to take from and to return to."""
    return _idle.setdefault((os.getpid(), size), [])


def new_thread(start: Callable[[], None]) -> KernelThread:
    """A new thread, ended with the program."""
    thread = KernelThread(start)
    _all.setdefault(os.getpid(), []).append(thread)
    return thread


def _end_all() -> None:
    # A thread that is within a kernel while the interpreter ends brings the process down.
    for thread in _all.get(os.getpid(), ()):
        thread.end()


atexit.register(_end_all)
