"""Routes through ssh: the system's client is asked for a tunnel, and what it says is believed."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from autotune.transport.identity import Role
from autotune.transport.route import Destination, Route, open_stream

# A client that opens the tunnel from here, and notes how it was asked.
SSH = """#!{python}
import os, socket, sys, threading
with open({noted!r}, "w") as file:
    file.write(" ".join(sys.argv[1:]))
host, port = sys.argv[sys.argv.index("-W") + 1].rsplit(":", 1)
far = socket.create_connection((host, int(port)))
near = socket.socket(fileno=os.dup(0))
def back():
    while data := far.recv(65536):
        near.sendall(data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := near.recv(65536):
    far.sendall(data)
"""


def test_a_route_through_ssh_is_a_tunnel_of_the_systems_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted.txt"
    program = tmp_path / "ssh"
    program.write_text(SSH.format(python=sys.executable, noted=str(noted)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def echo() -> None:
            stream, _ = listener.accept()
            with stream, suppress(OSError):
                while data := stream.recv(1 << 16):
                    stream.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        to = Destination("127.0.0.1", port, Role.TRACKER)
        stream = open_stream(Route(ssh="me@board:2222"), to, 10.0)
        assert isinstance(stream, socket.socket)
        with stream:
            stream.settimeout(30.0)
            stream.sendall(b"ping" * 1000)
            assert stream.recv(4) == b"ping"
    words = noted.read_text().split()
    assert words[words.index("-W") + 1] == f"127.0.0.1:{port}"
    assert words[words.index("-p") + 1] == "2222"
    assert "BatchMode=yes" in words
    assert words[-2:] == ["--", "me@board"]
