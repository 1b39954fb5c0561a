"""A client of TVM's RPC tracker: lists registered boards, and requests a turn on one of them.

The protocol: a magic number, then JSON values, each behind its length. Every wait has a time limit.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from autotune.transport.identity import Role
from autotune.transport.route import DIRECT, Destination, Route, open_stream
from autotune.transport.tls import SecureStream
from autotune.workers.closeable import Closeable
from search_spaces.errors import AutotuneError, Misuse

_MAGIC = 0x2F271
_SUCCESS, _REQUEST, _PUT, _UPDATE_INFO, _SUMMARY, _PENDING = 0, 4, 3, 5, 6, 7
_MAX_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Board:
    """A registered board: its address, and the facts that it registered with."""

    address: Address
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to one session on a board; match_key: what the board asks for."""

    address: Address
    match_key: str


class TrackerConnection(Closeable):
    """A connection to a tracker along a route; each answer is waited for at most timeout_secs.

    Raises AutotuneError where there is no tracker, it falls silent, or it or this side is refused; Misuse for an
    unusable identity.
    """

    def __init__(self, address: Address, route: Route = DIRECT, timeout_secs: float = 10.0) -> None:
        self._address = address
        try:
            self._socket = _open(address, route, timeout_secs)
            self._socket.sendall(struct.pack("<i", _MAGIC))
            [magic] = struct.unpack("<i", self._receive(4))
        except (OSError, struct.error) as error:
            by = f" from {route.ssh}, which ssh {route.ssh} has to reach" if route.ssh else ""
            raise AutotuneError(
                f"expected an RPC tracker at {address}{by}, found {error}; start one with "
                f"autotune serve-tracker --listen {address}",
                code="AT404",
            ) from error
        if magic != _MAGIC:
            raise AutotuneError(f"expected an RPC tracker at {address}, found something else", code="AT404")

    def boards(self, key: str) -> list[Board]:
        """The boards under a key, busy ones included."""
        status, summary = self._ask([_SUMMARY])
        if status != _SUCCESS:
            raise AutotuneError(f"the tracker at {self._address} would not tell its boards", code="AT404")
        return [
            Board(Address(*info["addr"]), info.get("facts", {}))
            for info in summary["server_info"]
            if info.get("key") == f"server:{key}"
        ]

    def request(self, key: str, timeout_secs: float) -> Turn | None:
        """A turn on the next free board, None where none becomes free in time."""
        self._socket.settimeout(timeout_secs)
        try:
            status, (host, port, match_key) = self._ask([_REQUEST, key, "", 1])
        except TimeoutError:
            return None
        if status != _SUCCESS:
            raise AutotuneError(
                f"the tracker at {self._address} would not give a turn on {key!r}", code="AT404"
            )
        return Turn(Address(host, port), match_key)

    def register(self, key: str, address: Address, facts: Mapping[str, Any]) -> None:
        """Registers a board for as long as this connection lasts."""
        info = {"key": f"server:{key}", "addr": [address.host, address.port], "facts": dict(facts)}
        self._ask([_UPDATE_INFO, info])

    def offer(self, key: str, address: Address, match_key: str) -> None:
        """Offers one turn on a board."""
        self._ask([_PUT, key, [address.port, match_key], address.host])

    def is_offered(self, match_key: str) -> bool:
        """Whether a turn offered on this connection has not been given away."""
        return match_key in self._ask([_PENDING])

    def close(self) -> None:
        """Ends the connection; boards registered with it are forgotten."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket, to wait for its end."""
        return self._socket.fileno()

    def _ask(self, message: list[Any]) -> Any:
        data = json.dumps(message).encode()
        self._socket.sendall(struct.pack("<i", len(data)) + data)
        [size] = struct.unpack("<i", self._receive(4))
        if not 0 < size <= _MAX_BYTES:
            raise OSError(f"an answer of {size} bytes")
        return json.loads(self._receive(size))

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise ConnectionResetError("the tracker closed the connection")
            data += chunk
        return bytes(data)


def _open(address: Address, route: Route, timeout_secs: float) -> socket.socket:
    opened = open_stream(route, Destination(address.host, address.port, Role.TRACKER), timeout_secs)
    stream = opened.stream if isinstance(opened, SecureStream) else opened
    stream.settimeout(timeout_secs)
    return stream


def registered_boards(tracker: Address, key: str, route: Route = DIRECT) -> list[Board]:
    """The boards that a tracker knows under a key. Raises AutotuneError where there is no tracker."""
    try:
        with closing(TrackerConnection(tracker, route)) as connection:
            return connection.boards(key)
    except OSError as error:
        raise AutotuneError(
            f"expected the tracker at {tracker} to answer, found {error}", code="AT404"
        ) from error


def parse_address(text: str) -> Address:
    """An address written host:port, with an IPv6 host in brackets. Raises Misuse for anything else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise Misuse(f"expected an address such as 127.0.0.1:9190, found {text!r}", code="AT401")
    return Address(host, int(port))
