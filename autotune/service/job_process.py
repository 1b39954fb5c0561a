"""Processes of this machine that run jobs; each ends with the server, by the closing of its stdin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

#: The program that runs a job; its folder is the last argument.
WORKER: Final = (sys.executable, "-m", "autotune.service.worker")
_OUTPUT: Final = "worker.log"
# No address of a store, no token, no password of others: what a worker needs is named.
_PASSED: Final = (
    "PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CC", "CXX",
)  # fmt: skip
_PASSED_FAMILIES: Final = ("LC_", "TVM_", "OMP_", "OPENBLAS_", "MKL_")


class JobProcess(Protocol):
    """A job that runs somewhere."""

    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def stop(self) -> None:
        """Requests an end after the round under way."""

    def kill(self) -> None:
        """Ends it at once."""


class JobStarter(Protocol):
    """A way to run jobs: on this machine, or on others that reach the folder."""

    def start(self, folder: Path) -> JobProcess:
        """Runs the job of a folder."""


class LocalStarter:
    """Runs jobs as processes of this machine. command: of the worker, the job's folder is added to it."""

    def __init__(self, command: Sequence[str] = WORKER) -> None:
        self._command = tuple(command)

    def start(self, folder: Path) -> LocalJob:
        """Starts a worker for the job of a folder, in a session of its own."""
        with (folder / _OUTPUT).open("wb") as output:
            return LocalJob(
                subprocess.Popen(
                    [*self._command, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=worker_environment(os.environ),
                )
            )


class LocalJob:
    """A worker process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Sends SIGTERM, which stops a job after the round under way."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the process and those of its group."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that workers get."""
    return {
        name: value
        for name, value in environment.items()
        if name in _PASSED or name.startswith(_PASSED_FAMILIES)
    }
