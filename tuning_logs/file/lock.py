"""The right to append to a log, held by one process at a time; readers neither need it nor wait for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from search_spaces.errors import StorageError


class Holder(msgspec.Struct, frozen=True):
    """The process that holds the lock; since is UTC in ISO 8601."""

    pid: int
    host: str
    since: str


class WriterLock:
    """An advisory lock on an open log file. It ends with the process, however that ends.

    The lock itself is `flock` on the log; the file beside it (the log's name and `.lock`) only says who
    holds it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._note = path.with_name(path.name + ".lock")
        self._held = False

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._held

    def try_acquire(self) -> bool:
        """Takes the lock if nobody holds it; says whether it is held now.

        Raises StorageError where the file system has no locks.
        """
        if not self._held:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as error:
                raise StorageError(
                    f"expected a file system that can lock {self._path}, found: {error.strerror}; put the "
                    f"log on a local disk",
                    code="AT204",
                ) from error
            self._held = True
            self._sign()
        return True

    def acquire(self) -> None:
        """Takes the lock. Raises StorageError naming the holder where another writer has it."""
        if not self.try_acquire():
            raise StorageError(
                f"expected to be the only writer of {self._path}, but {self._holder()} is writing to it; "
                f"wait for that job, stop it, or write to another log and join the two afterwards",
                code="AT203",
            )

    def release(self) -> None:
        """Gives the lock up."""
        if self._held:
            with contextlib.suppress(OSError):
                self._note.unlink()
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._held = False

    def _sign(self) -> None:
        holder = Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        # Who holds the lock is for people to know; a folder that takes no second file must not stop the job.
        with contextlib.suppress(OSError):
            self._note.write_bytes(msgspec.json.encode(holder))

    def _holder(self) -> str:
        try:
            with self._note.open("rb") as file:
                holder = msgspec.json.decode(file.read(4096), type=Holder)
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
            return "a process that left no name"
        return f"process {holder.pid} on {holder.host}, since {holder.since},"
