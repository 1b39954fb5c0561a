"""A PostgreSQL server of one's own, on loopback and in a folder that goes when it does."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def binaries() -> Path | None:
    """The folder of the newest server that is installed, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path and shutil.which("initdb") else None


class PostgresqlServer:
    """A server that can be stopped and started again, with what it holds. home: its folder, which it owns."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        # It refuses to run as root.
        self._user = next(filter(_exists, ("postgres", "nobody"))) if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(home, self._user)
        options = ["--auth=trust", "--username=tuner", "--encoding=UTF8", "--no-sync", "--locale=C"]
        self._data = home / "data"
        subprocess.run(
            [folder / "initdb", f"--pgdata={self._data}", *options],
            user=self._user,
            cwd=home,
            check=True,
            capture_output=True,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The URL without a database."""
        return f"postgresql://tuner@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with (self._home / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    self._folder / "postgres",
                    *("-D", self._data, "-k", self._home, "-h", "127.0.0.1", "-p", str(self._port)),
                ],
                user=self._user,
                cwd=self._home,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + 60
        ready = [self._folder / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(ready, capture_output=True).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._home / "server.log").read_text())
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it at once, whoever is still connected; how: SIGQUIT leaves it no time to write anything down."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


@contextlib.contextmanager
def server(folder: Path) -> Iterator[PostgresqlServer]:
    """Runs the server of a folder of binaries."""
    home = Path(tempfile.mkdtemp(prefix="autotune-postgresql-"))
    try:
        running = PostgresqlServer(folder, home)
        try:
            running.start()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
