"""Unit tests start no process and open no connection: what does belongs to `tests/system`."""

from __future__ import annotations

import _posixsubprocess  # through which multiprocessing starts servers
import os
import platform
import socket
import subprocess
from collections.abc import Callable
from typing import NoReturn

import pytest

# Python asks a process once for the processor's name.
platform.processor()


def _forbidden(name: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        pytest.fail(f"a unit test called {name}; tests of processes and connections belong to tests/system")

    return refuse


class _NoProcess(subprocess.Popen):  # type: ignore[type-arg]
    """Stays a class, which others derive from or annotate with."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        _forbidden("subprocess.Popen")()


class _NoConnection(socket.socket):
    """A socket that exists but cannot be connected or bound."""

    def connect(self, _address: object) -> NoReturn:
        _forbidden("socket.connect")()

    def connect_ex(self, _address: object) -> NoReturn:
        _forbidden("socket.connect_ex")()

    def bind(self, _address: object) -> NoReturn:
        _forbidden("socket.bind")()


@pytest.fixture(autouse=True)
def no_processes_and_no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes starting a process, and connecting or binding a socket, fail the test."""
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"):
        monkeypatch.setattr(os, name, _forbidden(f"os.{name}"))
    monkeypatch.setattr(_posixsubprocess, "fork_exec", _forbidden("multiprocessing"))
    monkeypatch.setattr(subprocess, "Popen", _NoProcess)
    monkeypatch.setattr(socket, "socket", _NoConnection)
