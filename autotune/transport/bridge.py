"""The program between a process that speaks plain RPC through pipes and a board that is reached along a route.

The process sends the request on a socket, and gets the report there once the board has let it in, or has not, with the
number of this program's process, which it has to wait for in the end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotune.transport.handshake import receive_exactly
from autotune.transport.identity import Role, Subject
from autotune.transport.pump import Descriptors, pump
from autotune.transport.route import Destination, Route, open_stream
from autotune.transport.tls import SecureStream
from autotune.workers.child import die_with_parent
from search_spaces.errors import AutotuneError

_CONNECT_SECS = 10.0
_REQUEST_SECS = 10.0
_MAGIC = 0xFF271
_MOST_NAME_BYTES = 4096
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class BridgeRequest:
    """A request for a session: the route, the board's address and key, and the key of the turn on it."""

    route: Route
    host: str
    port: int
    key: str
    match_key: str

    def to_json(self) -> dict[str, Any]:
        """The fields, for the other process."""
        return {
            "identity": str(self.route.identity) if self.route.identity else None,
            "ssh": self.route.ssh,
            "host": self.host,
            "port": self.port,
            "key": self.key,
            "match_key": self.match_key,
        }


def request_from(fields: dict[str, Any]) -> BridgeRequest:
    """The request of such fields."""
    identity = Path(fields["identity"]) if fields["identity"] else None
    route = Route(identity, fields["ssh"])
    return BridgeRequest(route, fields["host"], fields["port"], fields["key"], fields["match_key"])


def send_message(channel: socket.socket, message: dict[str, Any]) -> None:
    """Sends a message to the other process."""
    data = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(data)) + data)


def receive_message(channel: socket.socket, deadline: float) -> dict[str, Any]:
    """The next message of the other process. Raises OSError where it has ended, TimeoutError."""
    [size] = _LENGTH.unpack(receive_exactly(channel, _LENGTH.size, deadline))
    message: dict[str, Any] = json.loads(receive_exactly(channel, size, deadline))
    return message


def main(arguments: list[str]) -> None:
    """Connects and passes bytes on. arguments: descriptors of the socket, and of the pipes to read and write."""
    channel_number, source, sink = (int(word) for word in arguments)
    die_with_parent(signal.SIGKILL)
    with socket.socket(fileno=channel_number) as channel:
        request = request_from(receive_message(channel, time.monotonic() + _REQUEST_SECS))
        try:
            opened = _open(request)
        except (AutotuneError, OSError) as error:
            send_message(channel, {"pid": os.getpid(), "error": str(error) or type(error).__name__})
            return
        report: dict[str, Any] = {"pid": os.getpid()}
        if isinstance(opened, SecureStream):
            key = opened.session_key
            report |= {"session": key.session.hex(), "key": key.key.hex()}
        send_message(channel, report)
    try:
        pump(opened.stream if isinstance(opened, SecureStream) else opened, Descriptors(source, sink))
    except OSError:
        # The process sees its pipe end, which is all that it can be told.
        return


def _open(request: BridgeRequest) -> socket.socket | SecureStream:
    expected = Subject(Role.BOARD, request.key)
    opened = open_stream(request.route, Destination(request.host, request.port, expected), _CONNECT_SECS)
    stream = opened.stream if isinstance(opened, SecureStream) else opened
    name = f"client:{request.match_key}".encode()
    stream.settimeout(None)
    stream.sendall(struct.pack("<ii", _MAGIC, len(name)) + name)
    [magic] = struct.unpack("<i", _receive(stream, 4))
    if magic != _MAGIC:
        raise AutotuneError(
            f"expected the board at {request.host}:{request.port} to give a session, found refusal",
            code="AT764",
        )
    [size] = struct.unpack("<i", _receive(stream, 4))
    if not 0 <= size <= _MOST_NAME_BYTES:
        raise AutotuneError(f"expected a board's name, found one of {size} bytes", code="AT764")
    _receive(stream, size)
    return opened


def _receive(stream: socket.socket, size: int) -> bytes:
    # The board may be busy with another session; the process that waits has a time limit, and ends this one.
    data = b""
    while len(data) < size:
        chunk = stream.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the board closed the connection")
        data += chunk
    return data


if __name__ == "__main__":
    main(sys.argv[1:])
