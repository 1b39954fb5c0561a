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


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs the server of a folder of binaries, and gives its address without a database."""
    # It refuses to run as root.
    user = next(filter(_exists, ("postgres", "nobody"))) if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="autotune-postgresql-"))
    try:
        if user:
            shutil.chown(home, user)
        data = home / "data"
        options = ["--auth=trust", "--username=tuner", "--encoding=UTF8", "--no-sync", "--locale=C"]
        subprocess.run(
            [folder / "initdb", f"--pgdata={data}", *options],
            user=user,
            cwd=home,
            check=True,
            capture_output=True,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (home / "server.log").open("wb") as output:
            process = subprocess.Popen(
                [folder / "postgres", "-D", data, "-k", home, "-h", "127.0.0.1", "-p", str(port)],
                user=user,
                cwd=home,
                stdout=output,
                stderr=output,
            )
        try:
            _wait(folder, port, process, home)
            yield f"postgresql://tuner@127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)  # at once, whoever is still connected
            process.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(folder: Path, port: int, process: "subprocess.Popen[bytes]", home: Path) -> None:
    deadline = time.monotonic() + 60
    ready = [folder / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, capture_output=True).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((home / "server.log").read_text())
        time.sleep(0.1)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
