"""A server of a package in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LIMIT_SECS = 60


@dataclass(frozen=True, eq=False)
class ServerProcess:
    """A running server; url: where it listens; log: its standard error as a file."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def signal(self) -> None:
        """Asks it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, str]:
        """Its exit code and its log, once it has ended."""
        return self.process.wait(_LIMIT_SECS), self.log.read_text()


@contextmanager
def server_process(python: Path | str, module: str, folder: Path, *options: str) -> Iterator[ServerProcess]:
    """Starts `python -m MODULE.server` in a folder on a free port, and waits until it listens."""
    log = folder / "server.log"
    with log.open("w") as stream, start(python, module, folder, stream, *options) as process:
        try:
            yield ServerProcess(process, _address(process, log), log)
        finally:
            if process.poll() is None:
                process.kill()


def start(
    python: Path | str, module: str, folder: Path, stream: IO[str], *options: str
) -> subprocess.Popen[str]:
    """Starts a server on a free port."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and not name.startswith("SERVER_")
    }
    return subprocess.Popen(
        [str(python), "-m", f"{module}.server", "--port", "0", *options],
        cwd=folder,
        env=environment,
        stderr=stream,
        text=True,
    )


def _address(process: subprocess.Popen[str], log: Path) -> str:
    for _ in range(_LIMIT_SECS * 20):
        found = re.search(r"running on (http://\S+)", log.read_text())
        if found is not None:
            return found[1]
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(log.read_text())
