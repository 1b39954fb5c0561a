"""Commands that listen: on loopback alone, unless an identity or the user says otherwise."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from farm_keys import make_farm
from repository import ROOT

from autotune.cli.main import app

AUTOTUNE = (sys.executable, "-P", "-m", "autotune.cli.main")
# What listens, and how it is started without saying where.
LISTENING = {
    "serve-tracker": ("--listen", "127.0.0.1:0"),
    "serve-device": ("--tracker", "127.0.0.1:1", "--key", "pi4", "--threads", "1"),
    "serve": ("--port", "0"),
    "watch": (".", "--port", "0"),
}
INSECURE = "--insecure-let-anyone-run-programs"


def _listening(pid: int) -> set[tuple[str, int]]:
    process = psutil.Process(pid)
    found: set[tuple[str, int]] = set()
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            found |= {
                (connection.laddr.ip, connection.laddr.port)
                for connection in one.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    return found


def _started(arguments: tuple[str, ...], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "said.txt").open("wb") as output:
        process = subprocess.Popen(
            [*AUTOTUNE, *arguments], cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _addresses(arguments: tuple[str, ...], folder: Path) -> set[str]:
    """The hosts that a command listens on."""
    for process in _started(arguments, folder):
        deadline = time.monotonic() + 60
        while not (found := _listening(process.pid)):
            assert process.poll() is None, (folder / "said.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return {host for host, _ in found}
    raise AssertionError


@pytest.mark.parametrize("command", LISTENING)
def test_a_command_listens_on_loopback_alone(command: str, tmp_path: Path) -> None:
    (tmp_path / "tuning.jsonl").touch()
    arguments = tuple(word if word != "." else "tuning.jsonl" for word in LISTENING[command])
    assert all(ipaddress.ip_address(host).is_loopback for host in _addresses((command, *arguments), tmp_path))


def test_no_other_command_listens() -> None:
    help_text = subprocess.run(
        [*AUTOTUNE, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    listening = {
        line.split()[1] for line in help_text.splitlines() if "Serve" in line or "in a browser" in line
    }
    assert app is not None and listening == set(LISTENING)


def test_beyond_loopback_the_users_word_is_enough_and_needed(tmp_path: Path) -> None:
    arguments = (
        "serve-device",
        "--tracker",
        "127.0.0.1:1",
        "--key",
        "pi4",
        "--threads",
        "1",
        "--listen",
        "0.0.0.0:0",
    )
    refused = subprocess.run([*AUTOTUNE, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "AT763" in refused.stderr and INSECURE in refused.stderr
    assert _addresses((*arguments, INSECURE), tmp_path) == {"0.0.0.0"}
    assert "every machine that reaches it can run programs here" in (tmp_path / "said.txt").read_text()


def test_with_an_identity_only_the_gate_listens(tmp_path: Path) -> None:
    farm = make_farm(tmp_path / "keys")
    device = (
        "serve-device",
        "--tracker",
        "127.0.0.1:1",
        "--key",
        "pi4",
        "--identity",
        str(farm.pi4),
        "--threads",
        "1",
    )
    assert _addresses((*device, "--listen", "0.0.0.0:0"), tmp_path) == {"0.0.0.0"}
    tracker = ("serve-tracker", "--identity", str(farm.tracker), "--listen", "0.0.0.0:0")
    assert _addresses(tracker, tmp_path) == {"0.0.0.0"}
