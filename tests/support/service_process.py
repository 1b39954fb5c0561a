"""A server of the service in a process of its own, with workers that run a toy job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from autotune.service.job_process import WORKER
from autotune.service.server import ServerSettings, serve
from autotune.service.service_folder import ServiceFolder

folder, port, worker = sys.argv[1:]
settings = ServerSettings(ServiceFolder(Path(folder)), port=int(port), worker=worker.split() or WORKER)

def say(text):
    print(text, file=sys.stderr, flush=True)

serve(settings, say, lambda secret: Path(folder, "token").write_text(secret))
"""


class ServerProcess:
    """A server on loopback. worker: the command of its workers, empty for the real one."""

    def __init__(self, folder: Path, port: int = 0, worker: str = "") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._errors = (folder.parent / f"{folder.name}.log").open("ab+")
        at = self._errors.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(port), worker],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        deadline = time.monotonic() + 120
        while True:
            self._errors.seek(at)
            text = self._errors.read().decode()
            if "listening on " in text:
                break
            assert self.process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.02)
        self.url = text.split("listening on ")[1].split()[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def token(self) -> str:
        """The first token, which has all scopes."""
        path = self.folder / "token"
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return path.read_text()

    def kill(self) -> None:
        """Kills the server with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self._errors.close()

    def stop(self) -> None:
        """Stops the server with SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._errors.close()


@contextmanager
def running_server(folder: Path, worker: str = "") -> Iterator[ServerProcess]:
    """A server for the block."""
    server = ServerProcess(folder, worker=worker)
    try:
        yield server
    finally:
        server.stop()
