"""The parent's handle of one warm worker process: makes calls, and enforces limits of time and memory."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any

from autotune.workers.child import OutputTail, resident_bytes, signal_group
from autotune.workers.fork_server import ForkServer, WorkerNeeds, WorkerStatus
from autotune.workers.reply import Died, OverMemory, Raised, Reply, Returned, TimedOut
from autotune.workers.room import is_storage_fault, words_of_storage
from search_spaces.errors import AutotuneError, StorageError

# Importing TVM takes seconds of processor time, and minutes beside dozens of busy programs.
_BOOT_SECS = 300.0
# A process that is killed is gone in no time, unless the system is stuck.
_REAPED_SECS = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A module-level function and its arguments, all of which can be pickled."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class WorkerState(Enum):
    """The state of a worker process."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    DEAD = auto()


class WorkerProcess:
    """A forked process in a session of its own, so that neither Ctrl-C reaches it nor its children escape it.

    It starts by importing the module that it needs. What it writes to stdout and stderr is drained; the last 2 kB are
    kept for Died.stderr_tail.
    """

    def __init__(self, server: ForkServer, needs: WorkerNeeds, memory_bytes: int) -> None:
        self.calls = 0
        self.state = WorkerState.STARTING
        self._paused = 0.0
        self._server = server
        self._memory_bytes = memory_bytes
        ours, theirs = socket.socketpair()
        read_end, output = os.pipe()
        self._output = OutputTail(read_end)
        told, status = os.pipe()
        self._status = WorkerStatus(told)
        self._connection = Connection(ours.detach())
        try:
            _fork(server, needs, theirs, output, status)
        except AutotuneError:
            self.kill()
            raise
        self._start_clock(_BOOT_SECS)

    @property
    def pid(self) -> int:
        """The process id, once there is one. Raises AutotuneError where the process cannot start."""
        pid = self._status.pid(_BOOT_SECS)
        if pid is None:
            raise _start_error(self._death(0.0).message)
        return pid

    @property
    def is_started(self) -> bool:
        """Whether the process was forked; its server may have to import first."""
        return self._status.pid(0.0) is not None

    @property
    def descriptors(self) -> list[int]:
        """Descriptors that become readable when the process replies, writes or dies."""
        return [self._connection.fileno(), *self._output.descriptors]

    def used_bytes(self) -> int:
        """Resident memory, 0 where the process is gone, or not there yet."""
        pid = self._status.pid(0.0)
        return resident_bytes(pid) if pid else 0

    def start(self, call: Call, timeout_secs: float) -> bool:
        """Starts a call; False where the process has died while idle."""
        assert self.state is WorkerState.IDLE
        self.calls += 1
        if not self._send(call, timeout_secs):
            self.kill()
            return False
        self.state = WorkerState.BUSY
        return True

    def poll(self) -> Reply | None:
        """The reply to the call, once there is one. Raises AutotuneError where the process cannot start."""
        reply = self._reply()
        if reply is None:
            return None
        if isinstance(reply, (Returned, Raised)):
            starting, self.state = self.state is WorkerState.STARTING, WorkerState.IDLE
        else:
            starting = self.state is WorkerState.STARTING
            self.kill()
        if starting:
            if not isinstance(reply, Returned):
                self.kill()
                raise _start_error(reply.message)
            return None
        return reply

    def pause(self) -> None:
        """Stops the process and its children, and the clock of its call."""
        self._paused = time.monotonic()
        self._signal(signal.SIGSTOP, 0.0)

    def resume(self) -> None:
        """Continues the process and its children, and the clock of its call."""
        self._started += time.monotonic() - self._paused
        self._signal(signal.SIGCONT, 0.0)

    def kill(self) -> None:
        """Kills the process and its children; a second call does nothing."""
        if self.state is WorkerState.DEAD:
            return
        self.state = WorkerState.DEAD
        # While its server runs, it starts sooner or later.
        if self._signal(signal.SIGKILL, _BOOT_SECS):
            self._status.returncode(_REAPED_SECS)
        self._status.close()
        self._connection.close()
        self._output.close()

    def _signal(self, number: signal.Signals, wait_secs: float) -> bool:
        """Sends a signal to the process and its children; False where it has not started within that time."""
        pid = self._status.pid(wait_secs)
        if pid is None:
            return False
        signal_group(pid, number)
        return True

    def _start_clock(self, timeout_secs: float) -> None:
        self._timeout_secs = timeout_secs
        self._started = time.monotonic()

    def _send(self, call: Call, timeout_secs: float) -> bool:
        self._start_clock(timeout_secs)
        try:
            self._connection.send((call.function, call.arguments))
        except ConnectionError:
            return False
        return True

    def _reply(self) -> Reply | None:
        self._output.drain()
        secs = time.monotonic() - self._started
        try:
            if self._connection.poll():
                kind, value = self._connection.recv()
                return Returned(value, secs) if kind == "value" else Raised(value, secs)
        except (EOFError, ConnectionError):
            return self._death(secs)
        if secs > self._timeout_secs:
            return TimedOut(self._timeout_secs, secs)
        used = self.used_bytes()
        if used > self._memory_bytes:
            return OverMemory(used, self._memory_bytes, secs)
        return None

    def _death(self, secs: float) -> Died:
        returncode = self._status.returncode(1.0)
        if returncode is None and not self.is_started:
            returncode = self._server.returncode
        if returncode is None and self._status.is_over:
            # The server died as well, and its exit status with it; what ends both comes from outside.
            returncode = -signal.SIGKILL
        if returncode is None:
            # It closed its end and lingers: as good as dead, by its own doing.
            return Died(0, "the process closed its connection", secs)
        return Died(returncode, self._output.text(), secs)


def _start_error(found: str) -> AutotuneError:
    """The error for a process that did not start: of the storage that it needs, else of the machine."""
    if is_storage_fault(found):
        return StorageError(
            f"expected a worker process to start, found {words_of_storage(found)}; make room for temporary files, "
            "or name another folder for them with the variable TMPDIR, and start again to go on",
            code="AT803",
        )
    return AutotuneError(
        f"expected a worker process to start, but {found}; "
        "check that TVM can be imported and that there is memory for it",
        code="AT804",
    )


def _fork(
    server: ForkServer, needs: WorkerNeeds, connection: socket.socket, output: int, status: int
) -> None:
    """Passes a worker's ends of its connections to the server, and closes them here."""
    try:
        server.fork(needs, [connection.fileno(), output, status])
    finally:
        connection.close()
        os.close(output)
        os.close(status)
