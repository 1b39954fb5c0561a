"""Bytes passed on between two streams, both ways."""

from __future__ import annotations

import os
import select
import socket
import ssl
from dataclasses import dataclass

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The descriptors of one stream: of a socket the same twice, of pipes two."""

    source: int
    sink: int


def pump(stream: ssl.SSLSocket | socket.socket, other: Descriptors) -> None:
    """Passes bytes on until either side ends. Raises OSError as sockets and pipes do."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    poll.register(other.source, select.POLLIN)
    while True:
        # What TLS has decrypted already shows on no descriptor.
        ready = [stream.fileno()] if _pending(stream) else [number for number, _ in poll.poll()]
        if stream.fileno() in ready:
            data = stream.recv(_CHUNK_BYTES)
            if not data:
                return
            _write(other.sink, data)
        if other.source in ready:
            data = os.read(other.source, _CHUNK_BYTES)
            if not data:
                return
            stream.sendall(data)


def _pending(stream: ssl.SSLSocket | socket.socket) -> bool:
    return isinstance(stream, ssl.SSLSocket) and stream.pending() > 0


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]
