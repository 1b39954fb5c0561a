"""A look at a board from outside: whether its server answers."""

from __future__ import annotations

import struct
import time

from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import Address
from autotune.transport.handshake import receive_exactly
from autotune.transport.identity import Role, Subject
from autotune.transport.route import Destination, open_stream
from autotune.transport.tls import SecureStream
from search_spaces.errors import AutotuneError

_MAGIC = 0xFF271
# Those of a board that ends a session first; emulated ones take seconds.
_ANSWER_SECS = 10.0
_NOBODY = b"client:nobody"


def board_answers(boards: Rpc, address: Address) -> bool:
    """Whether the server at an address answers a client that has no turn, which it refuses."""
    expected = Subject(Role.BOARD, boards.key)
    try:
        opened = open_stream(boards.route, Destination(address.host, address.port, expected), _ANSWER_SECS)
        with opened.stream if isinstance(opened, SecureStream) else opened as stream:
            stream.sendall(struct.pack("<ii", _MAGIC, len(_NOBODY)) + _NOBODY)
            receive_exactly(stream, 4, time.monotonic() + _ANSWER_SECS)
    except (OSError, AutotuneError):
        return False
    return True
