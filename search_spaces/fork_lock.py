"""Locks that `os.fork` waits for: a child never inherits one that is held, nor what it guards half done."""

from __future__ import annotations

import os
import threading
from contextlib import ContextDecorator
from types import TracebackType
from weakref import WeakSet

#: Taken by a fork before the locks, and passed by all who take one: the fork need not compete with them.
_gate = threading.RLock()
_locks: WeakSet[ForkLock] = WeakSet()
_held: list[ForkLock] = []


class _Depth(threading.local):
    """The number of locks that a thread holds; with one, it does not wait for a fork that waits for that."""

    locks = 0


_depth = _Depth()


class ForkLock(ContextDecorator):
    """A lock that a fork in another thread waits for; a thread that holds it may take it again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        with _gate:
            _locks.add(self)

    def __enter__(self) -> None:
        if not _depth.locks:
            with _gate:
                pass
        self._lock.acquire()
        _depth.locks += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _depth.locks -= 1
        self._lock.release()


#: Held where TVM builds graphs or tensor expressions: it keeps the scopes of these for the process, not for a thread.
graph_lock = ForkLock()


def _take_all() -> None:
    _gate.acquire()
    _held.extend(_locks)
    for lock in _held:
        lock._lock.acquire()


def _release_all() -> None:
    while _held:
        _held.pop()._lock.release()
    _gate.release()


os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_release_all)
