"""Boards behind TLS: they give what plain boards give, load what is signed, and outlive attacks."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from farm_keys import FarmKeys, make_farm
from faulty_kernels import add_one, built, faulty
from rpc_boards import Boards
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import Rpc
from autotune.devices.device import local_device, remote_device
from autotune.devices.device_url import parse_device
from autotune.devices.rpc_tracker import TrackerConnection, registered_boards
from autotune.measurement.board_bridge import open_bridge, reap_bridges
from autotune.measurement.board_reply import Lost
from autotune.measurement.board_trial import BoardRequest, Session, held_session
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.transport.bridge import BridgeRequest
from autotune.transport.handshake import Refusal
from autotune.transport.route import Route
from autotune.transport.signature import Signer
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.errors import AutotuneError
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from tuning_logs.file.log import TuningLog
from tuning_logs.records.measurement import Failure, FailureKind, Timing
from tuning_logs.records.record import TuningRecord

pytestmark = pytest.mark.alone

# Nothing, the starts of TVM's two protocols, and of TLS.
GARBAGE = (b"", b"\x71\xf2\x02\x00", b"\x71\xf2\x0f\x00\xff\xff\xff\x7f", b"\x16\x03\x01" + b"\xff" * 3000)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> FarmKeys:
    return make_farm(tmp_path_factory.mktemp("farm"))


@pytest.fixture(scope="module")
def boards(farm: FarmKeys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    boards = Boards(tmp_path_factory.mktemp("boards"), farm)
    try:
        for key in ("pi4", "pi5"):
            boards.start(key, "--threads", "1")
        yield boards
    finally:
        boards.close()


def _records(boards: Rpc) -> list[TuningRecord]:
    device = remote_device(boards, local_device(1).target)
    func = te.create_prim_func(te_workload.matmul(32, 32, 32))
    task = TuningTask(modules.workload(func, "matmul"), device.target)
    random = sampler_factory(SamplerKind.RANDOM)
    job = TuningJob((task,), device, Budget(trials=4), sampler=random, batch=4, finals_share=0.0)
    return [record for records in Tuner(job, TuningLog.in_memory()).rounds() for record in records]


@pytest.mark.long
def test_a_job_gives_the_records_of_a_plain_board(boards: Boards, tmp_path: Path) -> None:
    plain = Boards(tmp_path)
    try:
        plain.start("pi4", "--threads", "1")
        expected = _records(plain.rpc("pi4"))
    finally:
        plain.close()
    found = _records(boards.rpc("pi4"))
    assert len(found) == 5
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one.measurement, Timing) and isinstance(other.measurement, Timing)
        assert (one.task, one.config, one.device, one.check) == (
            other.task,
            other.config,
            other.device,
            other.check,
        )


def test_a_candidate_is_measured_behind_tls(boards: Boards) -> None:
    space = add_one(local_device(1).target)
    with LocalBuilder(workers=1) as builder, RpcRunner(boards.rpc("pi5"), BoardOptions(1)) as runner:
        [outcome] = runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing), outcome


@pytest.mark.long
def test_a_fault_costs_that_candidate_only(boards: Boards, tmp_path: Path) -> None:
    space = add_one(local_device(1).target)
    with LocalBuilder(workers=1) as builder, RpcRunner(boards.rpc("pi5"), BoardOptions(1)) as runner:
        runner.run(built(builder, space))
        [crashed] = runner.run([faulty(space, tmp_path, "abort();")])
        [after] = runner.run(built(builder, space))
    assert isinstance(crashed.measurement, Failure) and crashed.measurement.kind is FailureKind.RUN_ERROR
    assert "SIGABRT" in crashed.measurement.message
    assert isinstance(after.measurement, Timing)


def _session(boards: Boards) -> Iterator[tuple[Session, Signer]]:
    with TrackerConnection(boards.tracker, boards.route) as tracker:
        turn = tracker.request("pi4", 10.0)
    assert turn is not None
    request = BridgeRequest(boards.route, turn.address.host, turn.address.port, "pi4", turn.match_key)
    connection, key = open_bridge(request)
    assert key is not None
    yield connection, Signer(key)


session = pytest.fixture(_session)


def _zombies() -> int:
    return sum(child.status() == psutil.STATUS_ZOMBIE for child in psutil.Process().children())


def test_sessions_leave_no_zombies_but_the_last_one(boards: Boards) -> None:
    reap_bridges()
    before = _zombies()
    for _ in range(3):
        for connection, _ in _session(boards):
            assert connection.get_function("runtime.GetDeviceAttr") is not None
            del connection
    deadline = time.monotonic() + 5.0
    while _zombies() == before:  # the last bridge ends in its own time
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert _zombies() == before + 1
    reap_bridges()
    assert _zombies() == before


def test_nothing_is_loaded_without_a_signature(
    session: tuple[Session, Signer], boards: Boards, tmp_path: Path
) -> None:
    connection, signer = session
    space, harmful = add_one(local_device(1).target), tmp_path / "harm"
    # A library whose constructor would run as soon as it is loaded.
    fault = f'}} __attribute__((constructor)) static void run(void) {{ fclose(fopen("{harmful}", "w"));'
    library = bytearray(faulty(space, tmp_path, fault).library.read_bytes())
    connection.upload(library, "0.so")
    for loader in ("tvm.rpc.server.load_module", "ffi.ModuleLoadFromFile", "rpc.CreatePipeClient"):
        with pytest.raises(Exception, match="has no function"):
            connection.get_function(loader)("0.so")
    with pytest.raises(Exception, match="it has no signature"):
        connection.get_function("ffi.Module.load_from_file.so")("0.so", "so")
    load = connection.get_function("autotune.board.load_signed")
    good = signer.sign("library", bytes(library))
    other = bytearray(bytes(library) + b"\0")
    for content, sequence, digest in (
        (other, good.sequence, good.digest),
        (library[:-1], good.sequence, good.digest),
        (library, good.sequence + 1, good.digest),
        (library, good.sequence, bytes(32)),
    ):
        with pytest.raises(Exception, match="autotune refused an artefact"):
            load(content, sequence, bytearray(digest))
    assert not harmful.exists()
    load(library, good.sequence, bytearray(good.digest))
    assert harmful.exists()
    with pytest.raises(Exception, match="expected number 1 of the session, found number 0"):
        load(library, good.sequence, bytearray(good.digest))


def test_a_client_of_another_farm_gets_no_session(boards: Boards, tmp_path: Path) -> None:
    stranger = Route(make_farm(tmp_path).me)
    with pytest.raises(Refusal, match="not accepted"):
        registered_boards(boards.tracker, "pi4", stranger)
    [board] = registered_boards(boards.tracker, "pi4", boards.route)
    request = BridgeRequest(stranger, board.address.host, board.address.port, "pi4", "key")
    with pytest.raises(AutotuneError, match="a board under 'pi4' of the same farm") as caught:
        open_bridge(request)
    assert caught.value.code == "AT764"


def test_the_tracker_tells_boards_to_clients_alone(boards: Boards, farm: FarmKeys) -> None:
    device = parse_device(f"rpcs://{boards.tracker}/pi4?target=llvm&identity={farm.me}")
    assert device.fingerprint.facts["isa"] == "x86_64"
    with (
        pytest.raises(AutotuneError, match="expected an RPC tracker"),
        TrackerConnection(boards.tracker, Route(), 1.0),
    ):
        pass


def test_garbage_on_every_port_leaves_boards_and_tracker_alive(boards: Boards) -> None:
    [board] = registered_boards(boards.tracker, "pi5", boards.route)
    for address in (boards.tracker, board.address):
        for garbage in GARBAGE:
            with socket.create_connection((address.host, address.port), 5.0) as stranger, suppress(OSError):
                stranger.sendall(garbage)
    [again] = registered_boards(boards.tracker, "pi5", boards.route)
    assert again == board
    found = held_session(BoardRequest(boards.rpc("pi5"), frozenset(), 20.0))
    assert not isinstance(found, Lost) and found.is_alive
