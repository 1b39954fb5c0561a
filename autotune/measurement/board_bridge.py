"""A session with a board through a bridge, which is a child process of this one (imports TVM)."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

import tvm_ffi
from tvm.rpc.client import RPCSession

from autotune.transport import bridge
from autotune.transport.bridge import BridgeRequest, receive_message, send_message
from autotune.transport.gate import parse_session
from autotune.transport.handshake import SessionKey
from search_spaces.errors import AutotuneError

# The report is written before the session begins: it is there, or never.
_REPORT_SECS = 5.0
# Bridges of this process that were not waited for: TVM starts them, ends them, and waits for none.
_bridges: set[int] = set()


def open_bridge(request: BridgeRequest) -> tuple[RPCSession, SessionKey | None]:
    """TVM's session with the board of a request, and its key where the route proves identities.

    Raises AutotuneError where the board does not let this side in, or is another one.
    """
    reap_bridges()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        send_message(ours, request.to_json())
        connect: Any = tvm_ffi.get_global_func("rpc.CreatePipeClient")
        command = (sys.executable, "-P", "-m", bridge.__name__, str(theirs.fileno()))
        failure: Exception | None = None
        try:
            session = RPCSession(connect(*command))
        except Exception as error:  # noqa: BLE001 - whatever TVM makes of a pipe that ends
            failure = error
        theirs.close()
        report = _report(ours, failure)
        if "pid" in report:
            _bridges.add(report["pid"])
        if "error" in report or failure is not None:
            raise AutotuneError(report.get("error") or str(failure), code="AT764") from failure
    return session, parse_session(report) if "session" in report else None


def reap_bridges() -> None:
    """Waits for the bridges that have ended, which would stay zombies as long as this process lives."""
    for pid in list(_bridges):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _bridges.discard(pid)


def _report(channel: socket.socket, failure: Exception | None) -> dict[str, Any]:
    try:
        return receive_message(channel, time.monotonic() + _REPORT_SECS)
    except OSError:
        if failure is None:
            raise
        return {}
