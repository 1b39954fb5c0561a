"""Builds of packages, one at a time, each by a process of its own beside the jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from autotune.service.documents import Refusal
from autotune.service.job_files import ERROR_FILE
from autotune.service.job_process import worker_environment
from autotune.service.packages import Packages
from autotune.service.result_documents import PackageDocument
from autotune.service.service_folder import ServiceFolder

#: The program that builds a package; its arguments are added.
PACKAGER: Final = (sys.executable, "-m", "autotune.service.packager")
# A job that measures at the same time is disturbed less.
_NICE: Final = ("nice", "-n", "10")
_BUILD_SECS: Final = 1800.0
_OUTPUT: Final = "packager.log"


@dataclass(frozen=True)
class _Build:
    package: PackageDocument
    process: subprocess.Popen[bytes]
    began: float


class PackageBuilds:
    """Builds queued packages. command: of the program; clock: monotonic seconds."""

    def __init__(
        self,
        packages: Packages,
        folder: ServiceFolder,
        command: Sequence[str] = PACKAGER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._packages, self._folder, self._command, self._clock = packages, folder, tuple(command), clock
        self._build: _Build | None = None
        packages.recover()

    def step(self) -> None:
        """Settles a build that has ended, and starts the next. Raises StorageError of the store."""
        if self._build is not None:
            code = self._build.process.poll()
            if code is None and self._clock() - self._build.began < _BUILD_SECS:
                return
            build, self._build = self._build, None
            _end(build.process)
            self._settle(build.package, code)
        following = self._packages.next()
        if following is not None:
            self._build = self._start(following)

    def close(self) -> None:
        """Ends a build under way; the next server begins it anew."""
        if self._build is not None:
            _end(self._build.process)
            self._build = None

    def _start(self, package: PackageDocument) -> _Build:
        output = self._folder.package(package.job, package.id)
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        (output / ERROR_FILE).unlink(missing_ok=True)
        names = (package.model, package.device, package.form)
        with (output / _OUTPUT).open("wb") as errors, (output / "name").open("wb") as name:
            process = subprocess.Popen(
                [*_NICE, *self._command, str(self._folder.job(package.job)), *names, str(output)],
                stdin=subprocess.PIPE,
                stdout=name,
                stderr=errors,
                start_new_session=True,
                env=worker_environment(os.environ),
            )
        return _Build(package, process, self._clock())

    def _settle(self, package: PackageDocument, code: int | None) -> None:
        output = self._folder.package(package.job, package.id)
        name = (output / "name").read_text("utf-8", "replace").strip().rpartition("\n")[2]
        file = output / Path(name).name
        if code == 0 and name and file.is_file():
            self._packages.finish(package.id, file)
            return
        self._packages.fail(package.id, _reason(output, code))


def _reason(output: Path, code: int | None) -> str:
    with suppress(OSError, msgspec.MsgspecError):
        error = msgspec.json.decode((output / ERROR_FILE).read_bytes(), type=Refusal)
        return f"{error.message} ({error.code})"
    if code is None:
        return f"it took longer than {_BUILD_SECS:g} s"
    return f"its builder ended by {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()
