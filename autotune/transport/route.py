"""Routes to a tracker and its boards: plain TCP, TLS, a tunnel of the system's ssh, or TLS inside one."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from autotune.transport.handshake import Refusal
from autotune.transport.identity import Identity, Role, Subject, read_identity
from autotune.transport.tls import SecureStream, connect_securely
from search_spaces.errors import AutotuneError, Misuse

_DESTINATION = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Route:
    """A route. identity: the folder of one's own identity, None without TLS; ssh: USER@HOST or USER@HOST:PORT, the
    machine from which connections are opened, None for this one.
    """

    identity: Path | None = None
    ssh: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether connections are plain TCP from this machine."""
        return self == DIRECT


DIRECT = Route()


@dataclass(frozen=True, slots=True)
class Destination:
    """A place to connect to. expected: who has to answer there, where the route proves identities."""

    host: str
    port: int
    expected: Subject | Role


def check_ssh_destination(text: str) -> str:
    """The destination, where it is USER@HOST or USER@HOST:PORT. Raises Misuse for anything else."""
    if not _DESTINATION.fullmatch(text):
        raise Misuse(
            f"expected a machine as in ssh://user@board/pi4, found {text!r}; what ssh needs beyond a user, a host and "
            "a port belongs into ~/.ssh/config",
            code="AT401",
        )
    return text


def open_stream(route: Route, to: Destination, timeout_secs: float) -> socket.socket | SecureStream:
    """A connection along a route; a SecureStream where the route proves identities.

    Raises Misuse for an unusable identity, AutotuneError where ssh cannot be started, Refusal where the other end is
    not the expected one or refuses this one, and OSError as sockets do.
    """
    identity = read_identity(route.identity) if route.identity else None
    stream = _tunnel(route.ssh, to) if route.ssh else _connect(to, timeout_secs)
    if identity is None:
        return stream
    return _secured(stream, identity, to, timeout_secs)


def _secured(stream: socket.socket, identity: Identity, to: Destination, timeout_secs: float) -> SecureStream:
    try:
        return connect_securely(stream, identity, to.expected, timeout_secs)
    except TimeoutError as error:
        stream.close()
        raise Refusal(
            f"expected {to.host}:{to.port} to answer in TLS within {timeout_secs:g} s, found silence; is it served "
            "with --identity?"
        ) from error
    except BaseException:
        stream.close()
        raise


def _connect(to: Destination, timeout_secs: float) -> socket.socket:
    stream = socket.create_connection((to.host, to.port), timeout_secs)
    keep_alive(stream)
    return stream


def keep_alive(stream: socket.socket) -> None:
    """Has the system notice within two minutes that the other end of a silent connection is gone."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _tunnel(ssh: str, to: Destination) -> socket.socket:
    """A connection through a child process of ssh, which ends with it."""
    program = shutil.which("ssh")
    if program is None:
        raise AutotuneError(
            "expected the program ssh on the PATH, found none; install openssh-client", code="AT765"
        )
    machine, _, port = ssh.partition(":")
    host = f"[{to.host}]" if ":" in to.host else to.host
    # Asks for no password, and takes hosts, keys and known_hosts from OpenSSH's own files.
    command = [
        program,
        "-T",
        "-x",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        "-o",
        "ServerAliveInterval=30",
    ]
    command += [*(("-p", port) if port else ()), "-W", f"{host}:{to.port}", "--", machine]
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno())
    # It ends when our end is closed; somebody has to take note.
    threading.Thread(target=child.wait, daemon=True).start()
    return ours
