"""A tracker and boards on the loopback interface, for tests: programs of their own, ended with the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from farm_keys import FarmKeys
from repository import ROOT

from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import Address, registered_boards
from autotune.transport.route import Route
from search_spaces.errors import AutotuneError

BOARD = ROOT / "autotune" / "boards" / "program.py"
# TVM's own tracker; the program of that name leaves a process behind when it is killed.
TRACKER = (
    "import sys; from tvm.rpc.tracker import PopenTrackerServerState as Tracker; port = int(sys.argv[1]); "
    "Tracker('127.0.0.1', port, port + 1, silent=True).thread.join()"
)


def footprint(pid: int) -> tuple[int, int, int]:
    """Processes that a board's server has started, descriptors that it holds, folders of its sessions."""
    server = psutil.Process(pid)
    folders = list(Path(tempfile.gettempdir()).glob(f"autotune-board-{pid}-*"))
    return len(server.children(recursive=True)), server.num_fds(), len(folders)


class Boards:
    """Starts and ends a tracker and the boards that register with it.

    keys: identities of a farm, for TLS; each board has the one that is named like its key.
    """

    def __init__(self, folder: Path, keys: FarmKeys | None = None) -> None:
        self.folder = folder
        self.keys = keys
        self.route = Route(keys.me if keys else None)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.tracker = Address("127.0.0.1", port)
        self.processes: list[subprocess.Popen[bytes]] = []
        command = [sys.executable, "-c", TRACKER, str(port)]
        if keys:
            command = [sys.executable, "-P", "-m", "autotune.cli.main", "serve-tracker"]
            command += ["--listen", str(self.tracker), "--identity", str(keys.tracker)]
        self.tracker_process = self.run(command, "tracker")

    def rpc(self, key: str) -> Rpc:
        """The boards under a key, and the route to them."""
        return Rpc(self.tracker, key, self.route)

    def start(
        self, key: str, *options: str, python: tuple[str, ...] = (sys.executable, "-P")
    ) -> subprocess.Popen[bytes]:
        """Starts one more board and waits until it is registered."""
        before = self.count(key)
        arguments = ["--tracker", str(self.tracker), "--key", key, *options]
        if self.keys:
            arguments += ["--identity", str(self.keys.folder / key)]
        process = self.run([*python, str(BOARD), *arguments], f"{key}-{len(self.processes)}")
        deadline = time.monotonic() + 120
        while self.count(key) <= before:
            said = (self.folder / f"{key}-{len(self.processes) - 1}.txt").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        return process

    def count(self, key: str) -> int:
        """How many boards are registered."""
        with suppress(AutotuneError):
            return len(registered_boards(self.tracker, key, self.route))
        return 0

    def run(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
