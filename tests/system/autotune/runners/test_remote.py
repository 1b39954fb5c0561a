"""Boards behind an RPC tracker, played by processes of this machine: right, shared, and survived."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_kernels import GROWTH_LIMIT_BYTES, RUN_FAULTS, built, faulty
from rpc_boards import TRACKER, Boards, footprint
from small_disks import mounted_disk
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import Rpc
from autotune.devices.device import Device, local_device, remote_device
from autotune.devices.device_url import parse_device
from autotune.devices.rpc_tracker import registered_boards
from autotune.runners import rpc_runner
from autotune.runners.drift import DriftMonitor
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.runners.runner import TrialLimits
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.file.log import TuningLog
from tuning_logs.records.measurement import Failure, Timing

pytestmark = pytest.mark.alone

KEY = "loopback"
# When the next candidate is measured after a fault: within 2 s on a machine of its own, with room for a busy one.
SOON_SECS = 10.0
MEMORY = ("--memory-mib", str(GROWTH_LIMIT_BYTES >> 20))


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    boards = Boards(tmp_path_factory.mktemp("boards"))
    try:
        boards.start(KEY, *MEMORY)
        yield boards
    finally:
        boards.close()


@pytest.fixture(scope="module")
def device(boards: Boards) -> Device:
    return remote_device(Rpc(boards.tracker, KEY), local_device().target)


@pytest.fixture(scope="module")
def shared_runner(boards: Boards, device: Device) -> Iterator[RpcRunner]:
    with RpcRunner(
        Rpc(boards.tracker, KEY), BoardOptions(device.threads), limits=TrialLimits(timeout_secs=4.0)
    ) as runner:
        yield runner


@pytest.fixture
def runner(shared_runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace) -> RpcRunner:
    """A runner that knows the right outputs of the operator."""
    [outcome] = shared_runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing), outcome
    return shared_runner


@pytest.mark.parametrize("name", RUN_FAULTS)
def test_a_fault_on_a_board_costs_that_candidate_only(
    name: str, runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    fault, kind, said = RUN_FAULTS[name]
    [outcome] = runner.run([faulty(space, tmp_path, fault)])
    failure = outcome.measurement
    assert isinstance(failure, Failure), failure
    assert failure.kind is kind, failure
    assert said.replace("2 s", "4 s") in failure.message
    [artifact] = built(builder, space)
    started = time.monotonic()
    [after] = runner.run([artifact])
    assert isinstance(after.measurement, Timing), after
    assert time.monotonic() - started < SOON_SECS


def test_a_job_on_a_board_writes_whose_times_they_are(boards: Boards) -> None:
    # On a busy machine two threads may lose against one, and would be refused.
    boards.start("job", "--threads", "1")
    device = remote_device(Rpc(boards.tracker, "job"), local_device(1).target)
    func = te.create_prim_func(te_workload.matmul(32, 32, 32))
    task = TuningTask(modules.workload(func, "matmul"), device.target)
    log = TuningLog.in_memory()
    random = sampler_factory(SamplerKind.RANDOM)
    job = TuningJob((task,), device, Budget(trials=8), sampler=random, batch=4, finals_share=0.0)
    records = [record for round_records in Tuner(job, log).rounds() for record in round_records]
    assert len(records) == 9
    assert all(isinstance(record.measurement, Timing) for record in records), records
    assert all(record.check is not None for record in records[1:])
    assert log.best(task, device.fingerprint) is not None
    assert dict(log.devices()[0].facts)["isa"] == "x86_64"


def test_sessions_leave_nothing_on_the_board(
    boards: Boards, runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    runner.run(built(builder, space))
    board = boards.processes[1].pid
    before = footprint(board)
    for pid in runner.pids:
        os.kill(pid, signal.SIGKILL)
    runner.run(built(builder, space))
    runner.run([faulty(space, tmp_path, "abort();")])
    runner.run(built(builder, space))
    assert footprint(board) == before
    children, _, folders = before
    assert (children, folders) == (1, 1)


@pytest.fixture(scope="module")
def one_thread(boards: Boards) -> Device:
    boards.start("one-thread", "--threads", "1")
    return remote_device(Rpc(boards.tracker, "one-thread"), local_device(1).target)


class Thermometer(DriftMonitor):
    """A monitor that is told what the times of the reference kernel were, instead of what they are."""

    def __init__(self, slowdowns: list[float]) -> None:
        super().__init__()
        self.slowdowns = iter(slowdowns)

    def observe(self, reference_secs: float) -> float:
        assert 0 < reference_secs < 1
        return super().observe(1e-3 * next(self.slowdowns))


def test_a_board_that_becomes_slow_is_noticed(
    boards: Boards, one_thread: Device, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    slowdowns = [1.0, 1.6, 1.0]
    options = BoardOptions(1, (one_thread.target, "cc"))
    with RpcRunner(Rpc(boards.tracker, "one-thread"), options) as runner:
        [board] = registered_boards(boards.tracker, "one-thread")
        runner._judge.drift[board.address] = Thermometer(slowdowns)
        outcomes = [outcome for _ in slowdowns for outcome in runner.run(built(builder, space))]
    assert all(isinstance(outcome.measurement, Timing) for outcome in outcomes)
    assert [outcome.slowdown for outcome in outcomes] == slowdowns


def test_the_threads_of_a_board_are_compared(boards: Boards, one_thread: Device) -> None:
    with RpcRunner(Rpc(boards.tracker, "one-thread"), BoardOptions(1, (one_thread.target, "cc"))) as runner:
        # Parallel code on one thread is no faster, whatever else the machine does.
        assert 0.2 < runner.thread_speedup() < 1.5


def test_a_stranger_on_the_port_does_not_disturb(
    boards: Boards, builder: LocalBuilder, space: TensorIRSpace, device: Device
) -> None:
    boards.start("open")
    [board] = registered_boards(boards.tracker, "open")
    for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x71\xf2\x0f\x00\xff\xff\xff\x7f"):
        with socket.create_connection((board.address.host, board.address.port), 5.0) as stranger:
            stranger.sendall(greeting)
    with RpcRunner(Rpc(boards.tracker, "open"), BoardOptions(device.threads)) as runner:
        [outcome] = runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing)


def test_several_boards_share_the_work_and_a_lost_one_costs_nothing(
    boards: Boards,
    builder: LocalBuilder,
    space: TensorIRSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc_runner, "_WAIT_SECS", 2.0)
    first, second = boards.start("pair"), boards.start("pair")
    waiting = "static int calls; if (!calls++) usleep(1500000);"
    with RpcRunner(Rpc(boards.tracker, "pair"), BoardOptions(2)) as runner:
        assert len(runner.pids) == 2
        runner.run(built(builder, space))
        folders = [tmp_path / str(number) for number in range(4)]
        for folder in folders:
            folder.mkdir()
        artifacts = [faulty(space, folder, waiting) for folder in folders]
        threading.Timer(0.7, lambda: os.killpg(first.pid, signal.SIGKILL)).start()
        outcomes = runner.run(artifacts)
    assert all(isinstance(outcome.measurement, Timing) for outcome in outcomes), outcomes
    assert second.poll() is None


def test_a_full_disk_of_a_board_is_no_fault_of_the_candidates(
    boards: Boards,
    builder: LocalBuilder,
    space: TensorIRSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mounted_disk(tmp_path / "disk", 64) as disk:
        (disk / "filler").write_bytes(bytes(60 << 10))
        with monkeypatch.context() as patched:
            patched.setenv("TMPDIR", str(disk))
            boards.start("full")
        monkeypatch.setattr(rpc_runner, "_WAIT_SECS", 1.0)
        with RpcRunner(Rpc(boards.tracker, "full"), BoardOptions(1, patience_secs=0.1)) as runner:
            artifacts = built(builder, space)
            with pytest.raises(AutotuneError, match="No space left on device"):
                runner.run(artifacts)
            (disk / "filler").unlink()
            runner._options = replace(runner._options, patience_secs=60.0)
            assert all(isinstance(one.measurement, Timing) for one in runner.run(artifacts))


def test_a_tracker_that_comes_back_finds_its_boards_again(tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    try:
        boards.start("faithful")
        boards.tracker_process.kill()
        boards.tracker_process.wait()
        boards.run([sys.executable, "-c", TRACKER, str(boards.tracker.port)], "tracker-again")
        deadline = time.monotonic() + 60
        while not boards.count("faithful"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        boards.close()


def test_without_boards_a_run_ends_with_advice(
    boards: Boards, builder: LocalBuilder, space: TensorIRSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_runner, "_WAIT_SECS", 1.0)
    with (
        RpcRunner(
            Rpc(boards.tracker, "nobody"),
            BoardOptions(1, patience_secs=1.0),
            limits=TrialLimits(timeout_secs=1.0),
        ) as runner,
        pytest.raises(AutotuneError, match="autotune serve-device --tracker"),
    ):
        runner.run(built(builder, space))


def test_a_board_under_an_unknown_key_or_tracker_is_named(boards: Boards) -> None:
    with pytest.raises(AutotuneError, match="expected a board under 'nobody'"):
        parse_device(f"rpc://{boards.tracker}/nobody?target=llvm -num-cores=1")
    with pytest.raises(AutotuneError, match=r"expected an RPC tracker at 127\.0\.0\.1:1"):
        parse_device("rpc://127.0.0.1:1/pi4?target=llvm -num-cores=1")


def test_the_target_of_a_board_is_named_and_fits_its_threads(boards: Boards) -> None:
    with pytest.raises(Misuse, match="a board's target must be named"):
        parse_device(f"rpc://{boards.tracker}/{KEY}")
    with pytest.raises(Misuse, match="run kernels with"):
        parse_device(f"rpc://{boards.tracker}/{KEY}?target=llvm -num-cores=61")
    device = parse_device(f"rpc://{boards.tracker}/{KEY}?target=llvm -mtriple=aarch64-linux-gnu")
    assert device.linker == "aarch64-linux-gnu-gcc"
    assert device.target.attr("num-cores") == device.fingerprint.facts["threads"]


def test_unlike_boards_under_one_key_are_refused(boards: Boards) -> None:
    boards.start("mixed", "--threads", "1")
    boards.start("mixed", "--threads", "2")
    with pytest.raises(Misuse, match="boards under one key are alike"):
        remote_device(Rpc(boards.tracker, "mixed"), local_device().target)
