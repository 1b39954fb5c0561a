"""Sockets that servers listen on."""

from __future__ import annotations

import socket

from search_spaces.errors import Misuse

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a host and port; port: 0 for any that is free. Raises Misuse where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misuse(
            f"expected to listen on port {port} of {host}, found: {error.strerror}; name another with --port, or 0 for "
            "any that is free",
            code="AT909",
        ) from error
