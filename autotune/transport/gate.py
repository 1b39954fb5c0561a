"""The gate before a server that knows no identities: lets in who proves to belong to the farm, and passes bytes on.

Each connection has a thread. Until it has proved who it is, it gets 5 s and 1 KiB a message, beside at most 31 others.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from autotune.transport.handshake import SessionKey
from autotune.transport.identity import Identity, Role
from autotune.transport.pump import Descriptors, pump
from autotune.transport.route import keep_alive
from autotune.transport.tls import SecureStream, accept_securely, server_context

PROOF_SECS = 5.0
_MOST_STRANGERS = 32
_MOST_PEERS = 2048
_FULL_PAUSE_SECS = 0.05


@dataclass(frozen=True, slots=True)
class Behind:
    """The server behind a gate. connect: opens a connection to it; roles: of the peers that may have one;
    tells_session: whether it is told the key of each session before the peer's own bytes.
    """

    connect: Callable[[], socket.socket]
    roles: Collection[Role]
    tells_session: bool


class Gate:
    """A gate at a listening socket.

    say: logs a line about whom it refuses; proof_secs: limit of the proof of an identity.

    Raises Misuse where the identity's files cannot be used.
    """

    def __init__(
        self,
        listener: socket.socket,
        identity: Identity,
        behind: Behind,
        say: Callable[[str], None],
        proof_secs: float = PROOF_SECS,
    ) -> None:
        self._listener, self._identity, self._behind, self._say = listener, identity, behind, say
        self._proof_secs = proof_secs
        server_context(identity)  # so that unreadable files are an error now
        self._strangers = threading.BoundedSemaphore(_MOST_STRANGERS)
        self._peers = threading.BoundedSemaphore(_MOST_PEERS)

    def serve_for_ever(self) -> None:
        """Accepts connections until the socket is closed."""
        while True:
            # Who comes while all places are taken waits in the system's queue, which is short.
            self._strangers.acquire()
            try:
                client, address = self._listener.accept()
            except OSError as error:
                self._strangers.release()
                if self._listener.fileno() < 0:
                    return
                # Out of descriptors: those in use are given back soon.
                self._say(f"cannot accept a connection: {error}")
                time.sleep(_FULL_PAUSE_SECS)
                continue
            try:
                threading.Thread(target=self._serve, args=(client, str(address[0])), daemon=True).start()
            except RuntimeError as error:
                self._strangers.release()
                client.close()
                self._say(f"cannot serve a connection: {error}")

    def _serve(self, client: socket.socket, address: str) -> None:
        with suppress(OSError), client:
            try:
                keep_alive(client)
                secured = accept_securely(client, self._identity, self._behind.roles, self._proof_secs)
            except Exception as error:  # noqa: BLE001 - a stranger must not end the gate, whatever it sends
                self._say(f"refused {address}: {_reason(error)}")
                return
            finally:
                self._strangers.release()
            with secured.stream:
                self._pass_on(secured)

    def _pass_on(self, secured: SecureStream) -> None:
        if not self._peers.acquire(blocking=False):
            self._say(f"refused {secured.peer}: {_MOST_PEERS} others are connected")
            return
        try:
            with self._behind.connect() as server:
                if self._behind.tells_session:
                    server.sendall(session_line(secured))
                pump(secured.stream, Descriptors(server.fileno(), server.fileno()))
        finally:
            self._peers.release()


def session_line(secured: SecureStream) -> bytes:
    """The message about a session to the server behind a gate."""
    session = secured.session_key
    fields = {"peer": secured.peer.name, "session": session.session.hex(), "key": session.key.hex()}
    data = json.dumps(fields).encode()
    return struct.pack(">I", len(data)) + data


def parse_session(fields: dict[str, str]) -> SessionKey:
    """The key of a session in the message about it."""
    return SessionKey(bytes.fromhex(fields["session"]), bytes.fromhex(fields["key"]))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).lower().replace("_", " ")
    return str(error) or type(error).__name__
