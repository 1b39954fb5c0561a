"""The server of a board: offers turns to a tracker, and serves each client in a child process.

A session that crashes, hangs, exceeds its memory or floods its output is ended; its client gets the reason.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autotune.boards.entrance import Entrance, Visitor
from autotune.boards.session import return_error, serve_session
from autotune.boards.session_functions import session_functions
from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import TrackerConnection
from autotune.transport.handshake import receive_exactly
from autotune.workers.backoff import Backoff
from autotune.workers.child import OutputTail, kill_child, resident_bytes, signal_group
from autotune.workers.remote_end import session_end_line
from autotune.workers.reply import Died, OverMemory
from search_spaces.errors import AutotuneError

_MAGIC = 0xFF271
_MISMATCH = _MAGIC + 2
_HANDSHAKE_SECS = 5.0
_PING_SECS = 2.0
# Of a tracker that is away.
_BACKOFF = Backoff(first_secs=1.0, longest_secs=30.0)
# A turn that was given away and not taken is offered anew.
_UNTAKEN_PINGS = 3
_WATCH_SECS = 0.05
# How long after the end of a session its client may still be seen to leave, which makes that a normal end.
_LEAVE_SECS = 0.1
_MAX_KEY_BYTES = 4096


class EntranceClosed(AutotuneError):
    """No client can come in any more."""

    code = "AT410"


class BoardServer:
    """Serves the clients that a tracker sends, one session at a time.

    boards: the tracker, and the key to register under; entrance: of the clients; facts: for the fingerprint.
    memory_bytes: the limit of a session; say: logs a line.
    """

    def __init__(
        self,
        boards: Rpc,
        entrance: Entrance,
        facts: Mapping[str, Any],
        memory_bytes: int,
        say: Callable[[str], None],
    ) -> None:
        self._boards, self._entrance, self._facts = boards, entrance, facts
        self._memory_bytes, self._say = memory_bytes, say
        self.address = entrance.address

    def serve_for_ever(self) -> None:
        """Registers and serves; registers again, with exponential backoff, when the tracker goes away.

        Raises EntranceClosed where no client can come in any more.
        """
        failures = 0
        boards = self._boards
        while True:
            try:
                with TrackerConnection(boards.tracker, boards.route) as connection:
                    connection.register(boards.key, self.address, self._facts)
                    self._say(
                        f"registered at {boards.tracker} as {boards.key!r}, listening on {self.address}"
                    )
                    failures = 0
                    while True:
                        self._serve_one(connection)
            except EntranceClosed:
                raise
            except (OSError, AutotuneError) as error:
                failures += 1
                pause_secs = _BACKOFF.pause_secs(failures)
                self._say(f"the tracker is away ({error}); trying again in {pause_secs:g} s")
                time.sleep(pause_secs)

    def _serve_one(self, tracker: TrackerConnection) -> None:
        key = self._boards.key
        match_key = f"{key}:{secrets.token_hex(8)}"
        tracker.offer(key, self.address, match_key)
        untaken = 0
        while untaken < _UNTAKEN_PINGS:
            if not self._entrance.is_open:
                raise EntranceClosed("expected the gate before this board to let clients in, found it ended")
            readable, _, _ = select.select([self._entrance], [], [], _PING_SECS)
            if not readable:
                untaken = 0 if tracker.is_offered(match_key) else untaken + 1
                continue
            visitor = self._entrance.accept()
            if visitor is None:
                continue
            with visitor.stream:
                if self._shake_hands(visitor.stream, match_key):
                    self._serve(visitor)
                    return

    def _shake_hands(self, client: socket.socket, match_key: str) -> bool:
        """Whether the client sent the key of the turn within the time limit."""
        deadline = time.monotonic() + _HANDSHAKE_SECS
        try:
            magic, size = struct.unpack("<ii", receive_exactly(client, 8, deadline))
            if magic != _MAGIC or not 0 < size <= _MAX_KEY_BYTES:
                return False
            words = receive_exactly(client, size, deadline).decode(errors="replace").split()
            if words[:1] != [f"client:{match_key}"]:
                client.sendall(struct.pack("<i", _MISMATCH))
                return False
            name = f"server:{self._boards.key}".encode()
            client.sendall(struct.pack("<ii", _MAGIC, len(name)) + name)
        except OSError:
            return False
        client.settimeout(None)
        return True

    def _serve(self, visitor: Visitor) -> None:
        client = visitor.stream
        folder = Path(tempfile.mkdtemp(prefix=f"autotune-board-{os.getpid()}-"))
        read_end, written = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                self._entrance.forget()
                os.close(read_end)
                serve_session(client.fileno(), written, session_functions(folder, visitor.key))
            finally:
                os._exit(1)
        os.close(written)
        output = OutputTail(read_end)
        try:
            end = self._watch(child, client, output)
        finally:
            signal_group(child, signal.SIGKILL)
            output.close()
            shutil.rmtree(folder, ignore_errors=True)
        if end is not None:
            self._say(f"a session ended: {end.message}")
            # The client still waits for the reply to its last call, unless it has left meanwhile.
            with suppress(Exception):
                return_error(client.fileno(), session_end_line(end))

    def _watch(self, child: int, client: socket.socket, output: OutputTail) -> Died | OverMemory | None:
        """Waits for the end of a session, or ends it; the fault, None where the client left first.

        The process has ended when this returns.
        """
        leaving = select.poll()
        leaving.register(client, select.POLLRDHUP)
        while True:
            left = leaving.poll(_WATCH_SECS * 1000)
            output.drain()
            gone, status = os.waitpid(child, os.WNOHANG)
            if gone:
                if leaving.poll(_LEAVE_SECS * 1000):
                    return None
                return Died(os.waitstatus_to_exitcode(status), output.text(), 0.0)
            used = resident_bytes(child)
            if left or used > self._memory_bytes:
                kill_child(child)
                return None if left else OverMemory(used, self._memory_bytes, 0.0)
