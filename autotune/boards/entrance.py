"""Entrances of a board: where its clients come in, and what is known of them then."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autotune.devices.rpc_tracker import Address
from autotune.transport.gate import Behind, Gate, parse_session
from autotune.transport.handshake import SessionKey, receive_exactly
from autotune.transport.identity import Identity, Role
from autotune.workers.child import die_with_parent, kill_child
from search_spaces.errors import AutotuneError, Misuse

_SESSION_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client that came in. key: of its session, None where nobody asked who it is."""

    stream: socket.socket
    key: SessionKey | None = None


class Entrance(Protocol):
    """The port of a board. address: the one that clients are told to connect to."""

    address: Address

    def fileno(self) -> int:
        """A descriptor that becomes readable when a client is there."""
        ...

    def accept(self) -> Visitor | None:
        """The next client, None where it left at once."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether clients can come in."""
        ...

    def forget(self) -> None:
        """Closes this process's descriptor; for children, which have no business there."""
        ...


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at a host."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def require_protection(listen: Address, identity: Identity | None, insecure: str | None) -> None:
    """Raises Misuse for an address beyond loopback without an identity.

    insecure: the option by which the user insists, None where it was given.
    """
    if identity is None and insecure is not None and not is_loopback(listen.host):
        raise Misuse(
            f"expected an identity (--identity FOLDER, see autotune keys) to listen on {listen}, which other machines "
            f"reach, found none: whoever reaches it could run programs here. Listen on 127.0.0.1, or insist with "
            f"{insecure}",
            code="AT763",
        )


def listen_on(listen: Address) -> socket.socket:
    """A listening socket. Raises AutotuneError where there can be none."""
    try:
        return socket.create_server(
            (listen.host, listen.port), family=socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        )
    except OSError as error:
        raise AutotuneError(
            f"expected to listen on {listen}, found {error}; name another port", code="AT410"
        ) from error


def listen_inside(place: str) -> socket.socket:
    """A listening socket at a path, behind a gate."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    return listener


def connect_inside(place: str) -> socket.socket:
    """A connection of a gate to what listens at a path behind it."""
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(place)
    return stream


class PlainEntrance:
    """A port that asks nobody who it is. Raises AutotuneError where it cannot listen there."""

    def __init__(self, listen: Address) -> None:
        self._socket = listen_on(listen)
        self.address = Address(listen.host, self._socket.getsockname()[1])

    def fileno(self) -> int:
        """See `Entrance.fileno`."""
        return self._socket.fileno()

    def accept(self) -> Visitor | None:
        """See `Entrance.accept`."""
        stream, _ = self._socket.accept()
        return Visitor(stream)

    @property
    def is_open(self) -> bool:
        """See `Entrance.is_open`."""
        return True

    def forget(self) -> None:
        """See `Entrance.forget`."""
        self._socket.close()


class GuardedEntrance:
    """A port with a gate before it, which is a child process; the gate alone reaches the socket behind it.

    say: logs a line. Raises AutotuneError where it cannot listen there, Misuse where the identity cannot be used.
    """

    def __init__(self, listen: Address, identity: Identity, say: Callable[[str], None]) -> None:
        if identity.subject.role is not Role.BOARD:
            raise Misuse(
                f"expected the identity of a board, found one of a {identity.subject.role.value} in "
                f"{identity.folder}; make one with autotune keys board",
                code="AT760",
            )
        outside = listen_on(listen)
        self.address = Address(listen.host, outside.getsockname()[1])
        folder = Path(tempfile.mkdtemp(prefix="autotune-gate-"))
        place = str(folder / "board")
        self._socket = listen_inside(place)
        behind = Behind(lambda: connect_inside(place), (Role.CLIENT,), tells_session=True)
        with outside:
            # Looks at the identity's files before there is a child.
            gate = Gate(outside, identity, behind, say)
            self._gate = _fork(gate, self._socket, folder)

    def fileno(self) -> int:
        """See `Entrance.fileno`."""
        return self._socket.fileno()

    def accept(self) -> Visitor | None:
        """See `Entrance.accept`."""
        stream, _ = self._socket.accept()
        deadline = time.monotonic() + _SESSION_SECS
        try:
            [size] = struct.unpack(">I", receive_exactly(stream, 4, deadline))
            key = parse_session(json.loads(receive_exactly(stream, size, deadline)))
        except OSError:
            stream.close()
            return None
        return Visitor(stream, key)

    @property
    def is_open(self) -> bool:
        """See `Entrance.is_open`: whether the gate lives."""
        return os.waitpid(self._gate, os.WNOHANG) == (0, 0)

    def forget(self) -> None:
        """See `Entrance.forget`."""
        self._socket.close()

    def close(self) -> None:
        """Ends the gate."""
        self._socket.close()
        kill_child(self._gate)


def _fork(gate: Gate, inside: socket.socket, folder: Path) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        # A request to leave; the folder goes first.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        die_with_parent(signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        inside.close()
        if os.getppid() == parent:
            gate.serve_for_ever()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)
    return 0
