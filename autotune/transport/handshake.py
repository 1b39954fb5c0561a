"""Proofs of a token after the TLS handshake, bound to both certificates and to fresh nonces.

Each message is a JSON object behind its length. The server sends a nonce; the client its own and a proof; the server
its proof. What is proved never crosses the wire, and a proof that was recorded is of no use for other nonces.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import AutotuneError

VERSION = 1
_MOST_BYTES = 1024
_NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class SessionKey:
    """The key of one connection, known to its two ends. session: an identifier of the connection, no secret."""

    session: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Certificates:
    """SHA-256 digests of the certificates of a connection's ends."""

    server: bytes
    client: bytes


class Refusal(AutotuneError):
    """The other end of a connection is not what it should be, or says the same of this one."""

    code = "AT764"


def prove_to_server(
    stream: socket.socket, token: bytes, certificates: Certificates, deadline: float
) -> SessionKey:
    """Takes the client's part. deadline: by the monotonic clock. Raises Refusal, and OSError as sockets do."""
    hello = receive(stream, deadline)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    transcript = _transcript(certificates, _nonce(hello), nonce)
    send(stream, {"version": VERSION, "nonce": nonce.hex(), "proof": _mac(token, "client", transcript).hex()})
    if not _is_equal(receive(stream, deadline), _mac(token, "server", transcript)):
        raise Refusal("expected the other end to know the farm's token for it, found a wrong proof")
    return _session_key(token, transcript)


def demand_proof(
    stream: socket.socket, token: bytes, certificates: Certificates, deadline: float
) -> SessionKey:
    """Takes the server's part. deadline: by the monotonic clock. Raises Refusal, and OSError as sockets do."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    send(stream, {"version": VERSION, "nonce": nonce.hex()})
    answer = receive(stream, deadline)
    transcript = _transcript(certificates, nonce, _nonce(answer))
    if not token or not _is_equal(answer, _mac(token, "client", transcript)):
        send(stream, {"refused": "the token is another one"})
        raise Refusal("expected a client that knows the token, found a wrong proof")
    send(stream, {"proof": _mac(token, "server", transcript).hex()})
    return _session_key(token, transcript)


def send(stream: socket.socket, message: dict[str, Any]) -> None:
    """Sends a message."""
    data = json.dumps(message).encode()
    stream.sendall(struct.pack(">I", len(data)) + data)


def receive(stream: socket.socket, deadline: float) -> dict[str, Any]:
    """The next message. Raises Refusal where there is none, it is too long or the other end refuses; TimeoutError."""
    [size] = struct.unpack(">I", receive_exactly(stream, 4, deadline))
    if size > _MOST_BYTES:
        raise Refusal(f"expected a message of at most {_MOST_BYTES} bytes, found {size}")
    try:
        message = json.loads(receive_exactly(stream, size, deadline))
    except (ValueError, RecursionError) as error:
        raise Refusal("expected a message in JSON, found something else") from error
    if not isinstance(message, dict):
        raise Refusal("expected a message, found something else")
    if "refused" in message:
        raise Refusal(f"the other end refused: {str(message['refused'])[:200]}")
    return message


def receive_exactly(stream: socket.socket, size: int, deadline: float) -> bytes:
    """Exactly `size` bytes of a stream, before the deadline. Raises TimeoutError, and OSError at an early end."""
    data = bytearray()
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other end took too long")
        stream.settimeout(left)
        chunk = stream.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the other end closed the connection")
        data += chunk
    return bytes(data)


def _nonce(message: dict[str, Any]) -> bytes:
    if message.get("version") != VERSION:
        raise Refusal(
            f"expected version {VERSION} of the protocol, found {str(message.get('version'))[:20]!r}; install the "
            "same version of autotune on both ends"
        )
    return _bytes_of(message, "nonce", _NONCE_BYTES)


def _bytes_of(message: dict[str, Any], name: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(message[name])
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(f"expected a {name} in hexadecimal digits, found none") from error
    if len(value) != size:
        raise Refusal(f"expected a {name} of {size} bytes, found {len(value)}")
    return value


def _is_equal(message: dict[str, Any], proof: bytes) -> bool:
    return hmac.compare_digest(_bytes_of(message, "proof", len(proof)), proof)


def _transcript(certificates: Certificates, server_nonce: bytes, client_nonce: bytes) -> bytes:
    parts = (certificates.server, certificates.client, server_nonce, client_nonce)
    return hashlib.sha256(bytes([VERSION]) + b"".join(parts)).digest()


def _mac(token: bytes, purpose: str, transcript: bytes) -> bytes:
    return hmac.digest(token, f"autotune {purpose} ".encode() + transcript, "sha256")


def _session_key(token: bytes, transcript: bytes) -> SessionKey:
    return SessionKey(transcript[:16], _mac(token, "session", transcript))
