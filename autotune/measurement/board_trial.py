"""A trial on a board, in the worker process that is the board's RPC client (imports TVM).

The parent may kill the worker at any moment, as its time limits count: the board sees the connection end and ends the
session.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tvm import rpc

from autotune.builders.artifact import Artifact
from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import Address, TrackerConnection, Turn
from autotune.measurement.board_bridge import open_bridge
from autotune.measurement.board_memory import BoardMemory
from autotune.measurement.board_reference import BoardReference, ReferenceKernel
from autotune.measurement.board_reply import NO_ROOM, Ended, Lost, Tried
from autotune.measurement.board_upload import PlainUpload, SignedUpload, Upload
from autotune.measurement.device_kernel import DeviceInputs, DeviceKernel
from autotune.measurement.gpu_memory import GpuMemory
from autotune.measurement.inputs import Signs
from autotune.measurement.kernel_trial import TrialOptions, try_kernel
from autotune.transport.bridge import BridgeRequest
from autotune.transport.signature import REFUSED
from autotune.workers.remote_end import find_session_end
from autotune.workers.room import is_storage_fault, words_of_storage
from search_spaces.errors import AutotuneError
from search_spaces.tensor_ir.modules import tvm_target
from tuning_logs.records.measurement import Failure, Timing

_CONNECT_SECS = 5.0
_REFUSED_PAUSE_SECS = 0.2


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """A request for a session on any of the boards at a connection.

    avoid: addresses of boards not to use; wait_secs: limit of the wait for a free board;
    reference: the kernel that tells whether a board is slow meanwhile, None where none is timed.
    note: a file that gets the board's address as soon as there is a session; None for no note.
    """

    boards: Rpc
    avoid: frozenset[Address]
    wait_secs: float
    reference: ReferenceKernel | None = None
    note: Path | None = None


@dataclass
class Session:
    """A connection to the board at an address, with the memory and kernels that it holds there."""

    address: Address
    connection: Any
    upload: Upload
    _reference: BoardReference | None = None
    _gpu_inputs: dict[str, DeviceInputs] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> DeviceInputs:
        """The inputs of kernels for the board's processor."""
        return DeviceInputs(BoardMemory(self.connection))

    def gpu_inputs(self, kind: str) -> DeviceInputs:
        """The inputs of kernels for its GPU, the first that the board's server sees; kind: TVM's."""
        if kind not in self._gpu_inputs:
            self._gpu_inputs[kind] = DeviceInputs(GpuMemory(self.connection.device(kind, 0)))
        return self._gpu_inputs[kind]

    def open_kernel(self, artifact: Artifact, signs: Signs) -> DeviceKernel:
        """Uploads an artifact's library and loads it on the board."""
        if artifact.cubin is not None:
            self.upload.use_gpu_code(artifact.cubin)
        target = artifact.task.target
        inputs = self.gpu_inputs(str(tvm_target(target).kind.name)) if target.is_gpu else self.inputs
        return DeviceKernel(self.load_library(artifact.library), inputs, artifact, signs)

    def load_library(self, library: Path) -> Any:
        """Uploads a shared library and loads it on the board, as a TVM module.

        Raises AutotuneError where the board has no room for it.
        """
        content = library.read_bytes()
        try:
            return self.upload.load_library(content)
        except Exception as error:
            if not is_storage_fault(str(error)):
                raise
            raise AutotuneError(
                f"expected the board at {self.address} to store {len(content):,} bytes, found {NO_ROOM}: "
                f"{words_of_storage(str(error))}; make room there, or name another folder for its server with the "
                "variable TMPDIR",
                code="AT810",
            ) from error

    def reference(self, kernel: ReferenceKernel) -> BoardReference:
        """The reference kernel on the board, loaded once."""
        if self._reference is None:
            self._reference = BoardReference(self.connection, self.upload, kernel)
        return self._reference

    @property
    def is_alive(self) -> bool:
        """Whether the board answers."""
        try:
            self.connection.get_function("autotune.board.intact")()
        except Exception:  # noqa: BLE001 - whatever TVM makes of a dead connection
            return False
        return True


# The session that this worker process holds, from one trial to the next.
_held: list[Session] = []


def try_on_board(artifact: Artifact, options: TrialOptions, request: BoardRequest) -> Tried | Ended | Lost:
    """Measures an artifact on the board that this process holds, or on the next that is free."""
    try:
        session = held_session(request)
    except Exception as error:  # noqa: BLE001 - a board or tracker may fail in any way
        return Lost(None, _text(error))
    if isinstance(session, Lost):
        return session
    if request.note is not None:
        request.note.write_text(str(session.address))
    measurement, check = try_kernel(artifact, options, session.open_kernel)
    if isinstance(measurement, Failure) and (
        REFUSED in measurement.message or NO_ROOM in measurement.message
    ):
        # What arrived is not what was sent, or could not be stored: no candidate is to blame.
        _held.clear()
        return Lost(session.address, measurement.message)
    if isinstance(measurement, Failure) and not session.is_alive:
        _held.clear()
        fault = find_session_end(measurement.message)
        if fault is None:
            return Lost(session.address, measurement.message)
        return Ended(session.address, fault)
    if request.reference is None or not isinstance(measurement, Timing):
        return Tried(session.address, measurement, check)
    try:
        reference_secs = session.reference(request.reference).time_kernel()
    except Exception as error:  # noqa: BLE001 - the kernel is known to run: it is the board that does not
        _held.clear()
        return Lost(session.address, _text(error))
    return Tried(session.address, measurement, check, reference_secs)


def speedup_on_board(request: BoardRequest) -> float | Lost:
    """The speedup of the reference kernel on a board's threads over one of them."""
    try:
        session = held_session(request)
        if isinstance(session, Lost):
            return session
        assert request.reference is not None
        return session.reference(request.reference).thread_speedup()
    except Exception as error:  # noqa: BLE001 - a board or tracker may fail in any way
        _held.clear()
        return Lost(None, _text(error))


def held_session(request: BoardRequest) -> Session | Lost:
    """The session that this process holds, or a new one on the next board that is free.

    Raises AutotuneError and OSError where the tracker does not answer.
    """
    held = [one for one in _held if one.address not in request.avoid and one.is_alive]
    if held:
        return held[0]
    _held.clear()
    deadline = time.monotonic() + request.wait_secs
    reason = f"no board under {request.boards.key!r} was free within {request.wait_secs:g} s"
    with TrackerConnection(request.boards.tracker, request.boards.route) as tracker:
        while (left := deadline - time.monotonic()) > 0:
            turn = tracker.request(request.boards.key, left)
            if turn is None:
                break
            if turn.address in request.avoid:
                time.sleep(_REFUSED_PAUSE_SECS)
                continue
            try:
                _held.append(_open_session(request.boards, turn))
            except Exception as error:  # noqa: BLE001 - a board that answers wrongly is as good as gone
                return Lost(turn.address, _text(error))
            return _held[0]
    return Lost(None, reason)


def _open_session(boards: Rpc, turn: Turn) -> Session:
    host, port = turn.address.host, turn.address.port
    if not boards.route.is_plain:
        connection, key = open_bridge(BridgeRequest(boards.route, host, port, boards.key, turn.match_key))
        return Session(
            turn.address, connection, SignedUpload(connection, key) if key else PlainUpload(connection)
        )
    # TVM's own connect would wait for minutes for a board that was switched off.
    socket.create_connection((host, port), _CONNECT_SECS).close()
    connection = rpc.connect(host, port, turn.match_key)
    return Session(turn.address, connection, PlainUpload(connection))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip()[-2000:]
