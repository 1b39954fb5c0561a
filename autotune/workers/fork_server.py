"""A fork server: a process that has imported what workers need, and forks them on request."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autotune.workers import program
from autotune.workers.closeable import Closeable
from autotune.workers.threads import compiler_threads
from search_spaces.errors import AutotuneError


@dataclass(frozen=True, slots=True)
class WorkerNeeds:
    """Requirements of a worker.

    module: imported before its first call, once for all workers of a server; environment: added to the server's own;
    scratch: the parent's directory for files, which the worker deletes if it outlives the parent.
    """

    module: str
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None


class ForkServer(Closeable):
    """A fork server, started by the constructor, and again when it is found dead. Workers outlive it, not the parent.

    module: imported as soon as it starts; what most workers need. environment: added to the parent's before the program
    starts, for modules that read it while they are imported. Several pools of workers may share a server.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._environment = dict(environment)
        # One thread may close the server while another asks it for a worker.
        self._lock = threading.Lock()
        self._is_closed = False
        self._start()

    @property
    def returncode(self) -> int | None:
        """The server's exit status, None while it runs."""
        return self._process.poll()

    def fork(self, needs: WorkerNeeds, descriptors: Sequence[int]) -> None:
        """Asks for a worker; does not wait for it. Raises AutotuneError once closed.

        descriptors: its socket, its output and its status pipe, which stays empty where the server dies first.
        """
        with self._lock:
            if self._is_closed:
                raise AutotuneError(
                    "expected a server to fork a worker process, but it was closed", code="AT804"
                )
            if self.returncode is not None:
                self._requests.close()
                self._start()
            try:
                socket.send_fds(self._requests, [_message(needs)], list(descriptors))
            except ConnectionError:
                # It is dying just now: for the worker the same as if it did so with the request in its hands.
                self._process.wait()

    def close(self) -> None:
        """Ends the server, not its workers."""
        with self._lock:
            self._is_closed = True
            self._process.kill()
            self._process.wait()
            self._requests.close()

    def _start(self) -> None:
        # Messages stay apart, and descriptors with theirs.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", program.__file__, str(theirs.fileno()), self._module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": _import_path(), **self._environment},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._requests = ours


class WorkerStatus:
    """The messages of one worker's status pipe so far."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: the reading end, which is this object's to close."""
        self._descriptor = descriptor
        self._told: dict[bytes, int] = {}
        self._is_over = False

    def pid(self, wait_secs: float) -> int | None:
        """The process id; None where the worker has not started within that time, or never will."""
        return self._find(program.STARTED, wait_secs)

    def returncode(self, wait_secs: float) -> int | None:
        """An exit status, or a signal's number, negated; None while it runs, or where the server has died."""
        return self._find(program.ENDED, wait_secs)

    @property
    def is_over(self) -> bool:
        """Whether the pipe is closed: the worker has ended, or its server has."""
        return self._is_over

    def close(self) -> None:
        """Closes the pipe."""
        if not self._is_over:
            self._is_over = True
            os.close(self._descriptor)

    def _find(self, kind: bytes, wait_secs: float) -> int | None:
        until = time.monotonic() + wait_secs
        while kind not in self._told and not self._is_over:
            if not select.select([self._descriptor], [], [], max(until - time.monotonic(), 0.0))[0]:
                break
            message = os.read(self._descriptor, program.STATUS.size)
            if message:
                told, value = program.STATUS.unpack(message)
                self._told[told] = value
            else:
                self.close()
        return self._told.get(kind)


def kernel_server() -> ForkServer:
    """A server that loads TVM once, for the workers of a `LocalBuilder` and a `LocalRunner`.

    Start it before this process loads TVM: it does so on another core meanwhile."""
    return ForkServer("autotune.measurement.cpu_kernel", compiler_threads())


def _message(needs: WorkerNeeds) -> bytes:
    scratch = [str(needs.scratch)] if needs.scratch else []
    return json.dumps(
        {"module": needs.module, "environment": dict(needs.environment), "scratch": scratch}
    ).encode()


def _import_path() -> str:
    """This process's import path, for the child."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
