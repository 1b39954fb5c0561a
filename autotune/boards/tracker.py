"""TVM's tracker: on a port of loopback, or behind a gate, on a socket that the gate alone reaches."""

from __future__ import annotations

import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from autotune.boards.entrance import connect_inside, listen_inside, listen_on
from autotune.devices.rpc_tracker import Address
from autotune.transport.gate import Behind, Gate
from autotune.transport.identity import Identity, Role
from autotune.workers.child import die_with_parent, kill_child
from search_spaces.errors import AutotuneError, Misuse

# TVM's tracker keeps whatever a message says it will bring.
_MEMORY_BYTES = 2 << 30


def serve_tracker(
    listen: Address, identity: Identity | None, say: Callable[[str], None], ready: Callable[[Address], None]
) -> NoReturn:
    """Serves until it is ended. identity: of the tracker; None for a port that asks nobody who it is.

    say: logs a line; ready: gets the address once boards and clients can connect. Raises Misuse where tornado is not
    installed or the identity is not a tracker's, and AutotuneError where it cannot listen or the tracker ends.
    """
    if find_spec("tornado") is None:
        raise Misuse(
            "expected the package tornado, which TVM's tracker needs, found none; pip install 'autotune[farm]'",
            code="AT769",
        )
    if identity is not None and identity.subject.role is not Role.TRACKER:
        raise Misuse(
            f"expected the identity of a tracker, found one of a {identity.subject.role.value} in "
            f"{identity.folder}; make one with autotune keys tracker",
            code="AT760",
        )
    # Leaves through the blocks that clean up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Each board holds a connection for as long as it serves.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    outside = listen_on(listen)
    address = Address(listen.host, outside.getsockname()[1])
    if identity is None:
        child = _fork_tracker(outside)
        outside.close()
        ready(address)
        _, status = os.waitpid(child, 0)
        raise _ended(status)
    folder = Path(tempfile.mkdtemp(prefix="autotune-gate-"))
    place = str(folder / "tracker")
    gate = Gate(
        outside, identity, Behind(lambda: connect_inside(place), tuple(Role), tells_session=False), say
    )
    try:
        with listen_inside(place) as inside:
            child = _fork_tracker(inside, outside)
        _raise_with_child(child)
        ready(address)
        gate.serve_for_ever()
        raise AutotuneError("expected the tracker's port to stay open, found it closed", code="AT769")
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kill_child(child)
        shutil.rmtree(folder, ignore_errors=True)


def _raise_with_child(child: int) -> None:
    def look(_signal: int, _frame: object) -> None:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            raise _ended(status)

    signal.signal(signal.SIGCHLD, look)


def _ended(status: int) -> AutotuneError:
    return AutotuneError(
        f"expected TVM's tracker to serve, found that it ended with {os.waitstatus_to_exitcode(status)}; start it "
        "again: its boards register anew",
        code="AT769",
    )


def _fork_tracker(listener: socket.socket, *others: socket.socket) -> int:
    """A child process that serves TVM's tracker at a listening socket, and ends with this process."""
    child = os.fork()
    if child:
        return child
    try:
        die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for other in others:
            other.close()
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
        from tvm.rpc import tracker

        # It tells of every stranger that does not speak its language.
        logging.getLogger("RPCTracker").setLevel(logging.ERROR)
        tracker._tracker_server(listener, secrets.token_hex(16))
    finally:
        os._exit(1)
    return 0
