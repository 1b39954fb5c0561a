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

from autotune.boards.session import return_error, serve_session
from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import Address, TrackerConnection
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


class BoardServer:
    """Serves the clients that a tracker sends, one session at a time.

    boards: the tracker, and the key to register under; listen: the address for clients; facts: for the fingerprint.
    memory_bytes: the limit of a session; say: logs a line. Raises AutotuneError where it cannot listen there.
    """

    def __init__(
        self,
        boards: Rpc,
        listen: Address,
        facts: Mapping[str, Any],
        memory_bytes: int,
        say: Callable[[str], None],
    ) -> None:
        self._tracker, self._key, self._facts = boards.tracker, boards.key, facts
        self._memory_bytes, self._say = memory_bytes, say
        try:
            self._socket = socket.create_server((listen.host, listen.port))
        except OSError as error:
            raise AutotuneError(
                f"expected to listen on {listen}, found {error}; name another port",
                code="AT410",
            ) from error
        self.address = Address(listen.host, self._socket.getsockname()[1])

    def serve_for_ever(self) -> None:
        """Registers and serves; registers again, with exponential backoff, when the tracker goes away."""
        failures = 0
        while True:
            try:
                with TrackerConnection(self._tracker) as connection:
                    connection.register(self._key, self.address, self._facts)
                    self._say(f"registered at {self._tracker} as {self._key!r}, listening on {self.address}")
                    failures = 0
                    while True:
                        self._serve_one(connection)
            except (OSError, AutotuneError) as error:
                failures += 1
                pause_secs = _BACKOFF.pause_secs(failures)
                self._say(f"the tracker is away ({error}); trying again in {pause_secs:g} s")
                time.sleep(pause_secs)

    def _serve_one(self, tracker: TrackerConnection) -> None:
        match_key = f"{self._key}:{secrets.token_hex(8)}"
        tracker.offer(self._key, self.address, match_key)
        untaken = 0
        while untaken < _UNTAKEN_PINGS:
            readable, _, _ = select.select([self._socket], [], [], _PING_SECS)
            if not readable:
                untaken = 0 if tracker.is_offered(match_key) else untaken + 1
                continue
            client, _ = self._socket.accept()
            with client:
                if self._shake_hands(client, match_key):
                    self._serve(client)
                    return

    def _shake_hands(self, client: socket.socket, match_key: str) -> bool:
        """Whether the client sent the key of the turn within the time limit."""
        client.settimeout(_HANDSHAKE_SECS)
        try:
            magic, size = struct.unpack("<ii", _receive(client, 8))
            if magic != _MAGIC or not 0 < size <= _MAX_KEY_BYTES:
                return False
            if _receive(client, size).decode(errors="replace").split()[:1] != [f"client:{match_key}"]:
                client.sendall(struct.pack("<i", _MISMATCH))
                return False
            name = f"server:{self._key}".encode()
            client.sendall(struct.pack("<ii", _MAGIC, len(name)) + name)
        except OSError:
            return False
        client.settimeout(None)
        return True

    def _serve(self, client: socket.socket) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f"autotune-board-{os.getpid()}-"))
        read_end, written = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                self._socket.close()
                os.close(read_end)
                serve_session(client.fileno(), written, folder)
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


def _receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = client.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the client left")
        data += chunk
    return data
