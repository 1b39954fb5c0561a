"""Child processes watched, ended, and ending with their parent; the standard library alone, for boards as well."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_TAIL_BYTES = 2000
_PR_SET_PDEATHSIG = 1
# Bounded, so that a flood cannot keep the parent from watching its clock.
_CHUNKS_AT_ONCE = 64
_CHUNK_BYTES = 1 << 16


class OutputTail:
    """The last 2 kB of what a child writes into a pipe, which is drained so that the child never waits.

    descriptor: the reading end, which is this object's to close.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._tail = b""
        self._is_open = True

    @property
    def descriptors(self) -> list[int]:
        """Descriptors that become readable when the child writes; none once all of its output has been read."""
        return [self._descriptor] if self._is_open else []

    def drain(self) -> None:
        """Reads what there is, at most 4 MiB."""
        for _ in range(_CHUNKS_AT_ONCE):
            try:
                chunk = os.read(self._descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._is_open = False
                return
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        """The tail up to now, without white space at its ends."""
        self.drain()
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        """Closes the pipe."""
        os.close(self._descriptor)


def resident_bytes(pid: int) -> int:
    """The resident memory of a process, 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def signal_group(pid: int, number: signal.Signals) -> None:
    """Sends a signal to the group that a process leads, itself included; nothing where there is none any more."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def kill_child(pid: int) -> None:
    """Kills a child and its group, and waits for the child's end."""
    signal_group(pid, signal.SIGKILL)
    # One that has not come as far as setsid has no group yet.
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def die_with_parent(number: signal.Signals) -> None:
    """Has this process sent a signal when its parent is gone, even if that was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
