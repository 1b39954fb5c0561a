"""A process that has imported what worker processes need, and forks one whenever it is asked."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from autotune import worker_main
from autotune.closeable import Closeable
from search_spaces.errors import AutotuneError


class ForkServer(Closeable):
    """Started at once, and anew should it be found dead; its workers live on without it, but not without the parent.

    module: what every worker imports. environment is added to the parent's before the program starts. scratch: the
    parent's directory for files, which the workers delete if they outlive the parent.
    """

    def __init__(self, module: str, environment: Mapping[str, str], scratch: Path | None = None) -> None:
        self._arguments = [module, *([str(scratch)] if scratch else [])]
        self._environment = dict(environment)
        # One thread may close what another asks for a worker.
        self._lock = threading.Lock()
        self._is_closed = False
        self._start()

    @property
    def returncode(self) -> int | None:
        """How the server ended, None while it runs."""
        return self._process.poll()

    def fork(self, descriptors: Sequence[int]) -> None:
        """Asks for a worker; does not wait for it. Raises AutotuneError once closed.

        descriptors: its socket, its output and its status pipe, which tells nothing where the server dies first.
        """
        with self._lock:
            if self._is_closed:
                raise AutotuneError("expected a server to fork a worker process, but it was closed")
            if self.returncode is not None:
                self._requests.close()
                self._start()
            try:
                socket.send_fds(self._requests, [b"f"], list(descriptors))
            except ConnectionError:
                # It is dying just now: for the worker as if it did so a moment later, with the request in its hands.
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
                [sys.executable, "-P", worker_main.__file__, str(theirs.fileno()), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": _import_path(), **self._environment},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._requests = ours


class WorkerStatus:
    """What the status pipe of one worker has told so far."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: the reading end, which is this object's to close."""
        self._descriptor = descriptor
        self._told: dict[bytes, int] = {}
        self._is_over = False

    def pid(self, wait_secs: float) -> int | None:
        """The process id; None where the worker is not born within that time, or will never be."""
        return self._find(worker_main.BORN, wait_secs)

    def returncode(self, wait_secs: float) -> int | None:
        """An exit status, or a signal's number, negated; None where it lives on, or nobody is left to tell."""
        return self._find(worker_main.ENDED, wait_secs)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be told: the worker has ended, or its server has."""
        return self._is_over

    def close(self) -> None:
        """Listens no more."""
        if not self._is_over:
            self._is_over = True
            os.close(self._descriptor)

    def _find(self, kind: bytes, wait_secs: float) -> int | None:
        until = time.monotonic() + wait_secs
        while kind not in self._told and not self._is_over:
            if not select.select([self._descriptor], [], [], max(until - time.monotonic(), 0.0))[0]:
                break
            message = os.read(self._descriptor, worker_main.STATUS.size)
            if message:
                told, value = worker_main.STATUS.unpack(message)
                self._told[told] = value
            else:
                self.close()
        return self._told.get(kind)


def _import_path() -> str:
    """What this process can import, the child can."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
