"""An ARM board for real: cross-compiled kernels, run by arm64 Python and TVM in emulation, over the tracker.

Emulated times say nothing about a board, and the log says that they are emulated.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import emulated_arm
import psutil
import pytest
import tvm
from faulty_kernels import RUN_FAULTS, add_one, built, check_build_fault, faulty, unselectable
from rpc_boards import Boards, footprint
from tvm import te
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.deployment.compilation import compile
from autotune.deployment.executable import SavedModel
from autotune.deployment.model_runner import model_runner
from autotune.devices.connection import Rpc
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.models.model import load_model
from autotune.runners.factory import open_builder
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.runners.runner import TrialLimits
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.config import UNTOUCHED, Config
from search_spaces.space import Candidate
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.word_instructions import SIGNED_QUAD_PRODUCT
from search_spaces.tensor_ir.word_products import matmul_of_words
from tuning_logs.file.log import TuningLog
from tuning_logs.records.measurement import Failure, FailureKind, Timing

TARGET = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
WITH_DOT_PRODUCTS = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76"
# The number of the processor in an ELF file.
AARCH64 = 183
COMPILER = "aarch64-linux-gnu-gcc"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "autotune" / "arm64"
NEEDED = ("qemu-aarch64-static", COMPILER, "apt-get", "dpkg-deb")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
# What a faulty kernel is given, and when the next candidate is measured: a session starts in about a second here.
FAULT_SECS = 3.0
SOON_SECS = 20.0

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(MISSING), reason=f"not run without {', '.join(MISSING)} (make system)"),
]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    python = tuple(emulated_arm.command(emulated_arm.build(CACHE)))
    boards = Boards(tmp_path_factory.mktemp("arm"))
    try:
        boards.start("arm", "--threads", "1", "--memory-mib", "900", python=python)
        yield boards
    finally:
        boards.close()


@pytest.fixture(scope="module")
def device(boards: Boards) -> Device:
    return parse_device(f"rpc://{boards.tracker}/arm?target={TARGET}")


def test_the_board_tells_that_it_is_emulated(device: Device) -> None:
    facts = device.fingerprint.facts
    assert facts["isa"] == "aarch64"
    assert facts["emulated"] is True
    assert "emulated" in device.fingerprint.name


def test_a_matmul_is_tuned_on_the_board_and_right(device: Device) -> None:
    func = te.create_prim_func(te_workload.matmul(64, 64, 64))
    task = TuningTask(modules.workload(func, "matmul"), device.target)
    log = TuningLog.in_memory()
    job = TuningJob((task,), device, Budget(trials=8), sampler=sampler_factory(SamplerKind.RANDOM), batch=4)
    records = [record for found in Tuner(job, log).rounds() for record in found]
    timed = [record for record in records if isinstance(record.measurement, Timing)]
    assert len(timed) == len(records) >= 9
    assert all(record.check is not None and record.check.max_rel_error < 1e-4 for record in timed[1:])
    assert log.devices()[0].facts["emulated"] is True


def test_products_of_bytes_by_one_instruction_are_those_of_multiplications(boards: Boards) -> None:
    device = parse_device(f"rpc://{boards.tracker}/arm?target={WITH_DOT_PRODUCTS}")
    left, right = te.placeholder((16, 12), "int32"), te.placeholder((12, 32), "int32")
    func = te.create_prim_func([left, right, matmul_of_words(left, right, SIGNED_QUAD_PRODUCT)])
    task = TuningTask(modules.workload(func, "matmul_of_bytes"), device.target)
    job = TuningJob((task,), device, Budget(trials=6), sampler=sampler_factory(SamplerKind.RANDOM), batch=3)

    records = [record for found in Tuner(job, TuningLog.in_memory()).rounds() for record in found]

    # The reference has naive loops, which multiply byte by byte.
    checked = [record.check for record in records if record.check is not None]
    assert len(checked) >= 6
    assert all(check.max_rel_error == 0.0 for check in checked)


def test_a_model_for_the_board_is_linked_for_it_and_runs_there(
    device: Device, small_network: Path, tmp_path: Path
) -> None:
    model = load_model(small_network)
    built = compile(model, device.target, TuningLog.in_memory(), device.fingerprint, linker=device.linker)
    saved = SavedModel(built.save(tmp_path / "model.so", device.linker))
    library = saved.path.read_bytes()
    assert library[:4] == b"\x7fELF"
    assert int.from_bytes(library[18:20], "little") == AARCH64
    compared = model_runner(device).side_by_side(
        [saved, replace(saved, name="twin")], model.inputs, 1, None, float
    )
    assert compared.mistake is None
    assert all(one.secs > 0 for one in compared.latencies)


@pytest.fixture(scope="module")
def space(device: Device) -> TensorIRSpace:
    return add_one(device.target)


@pytest.fixture(scope="module")
def builder(device: Device) -> Iterator[LocalBuilder]:
    with open_builder(device) as builder:
        yield builder


@pytest.fixture(scope="module")
def runner(boards: Boards, device: Device) -> Iterator[RpcRunner]:
    """Holds the only board from here on: tests of what needs a session of its own come before."""
    with RpcRunner(
        Rpc(boards.tracker, "arm"), BoardOptions(device.threads), limits=TrialLimits(timeout_secs=FAULT_SECS)
    ) as runner:
        yield runner


#: Each takes its time limit; boards that are not emulated hang in all of these ways in every run of the tests.
SLOW_FAULTS = ("idle hang", "stopped", "deaf hang", "endless flood")


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.long) if one in SLOW_FAULTS else one for one in RUN_FAULTS]
)
def test_a_fault_on_the_board_costs_that_candidate_only(
    name: str, runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    fault, kind, said = RUN_FAULTS[name]
    runner.run(built(builder, space))
    [outcome] = runner.run([faulty(space, tmp_path, fault, COMPILER)])
    assert isinstance(outcome.measurement, Failure)
    assert outcome.measurement.kind is kind, outcome
    assert said.replace("2 s", f"{FAULT_SECS:g} s") in outcome.measurement.message
    [after] = built(builder, space)
    started = time.monotonic()
    [outcome] = runner.run([after])
    assert isinstance(outcome.measurement, Timing), outcome
    assert time.monotonic() - started < SOON_SECS


def test_a_hang_while_compiling_for_the_board_costs_that_candidate_only(
    space: TensorIRSpace, tmp_path: Path
) -> None:
    check_build_fault("hang", space, tmp_path, COMPILER)


def test_what_llvm_gives_up_on_for_the_board_is_a_build_error(
    builder: LocalBuilder, space: TensorIRSpace
) -> None:
    [failure] = builder.build([unselectable(space)])
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.BUILD_ERROR
    assert "LLVM ERROR: Cannot select" in failure.message
    built(builder, space)


def test_a_session_killed_from_outside_is_not_held_against_the_candidate(
    runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace, boards: Boards
) -> None:
    runner.run(built(builder, space))
    server = psutil.Process(boards.processes[-1].pid)
    for session in server.children():
        session.kill()
    [outcome] = runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing), outcome


def test_a_schedule_that_drops_its_last_tile_is_a_wrong_result(
    runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    whole = space.apply(UNTOUCHED).schedule.mod["main"].script()
    shortened = whole.replace("range(16)", "range(12)")
    assert shortened != whole
    schedule = Schedule(modules.normalize(tvm.script.from_source(shortened)))
    wrong = Candidate(space.task, Config((("sketch", "impostor"),)), schedule)
    [artifact] = [one for one in builder.build([wrong]) if isinstance(one, Artifact)]
    [outcome] = runner.run([artifact])
    assert isinstance(outcome.measurement, Failure), outcome
    assert outcome.measurement.kind is FailureKind.WRONG_RESULT
    assert outcome.measurement.message == "4 of 16 output elements were never written"


def test_faults_leave_nothing_on_the_board(
    runner: RpcRunner, builder: LocalBuilder, space: TensorIRSpace, boards: Boards, tmp_path: Path
) -> None:
    runner.run(built(builder, space))
    before = footprint(boards.processes[-1].pid)
    runner.run([faulty(space, tmp_path, "abort();", COMPILER)])
    runner.run(built(builder, space))
    assert footprint(boards.processes[-1].pid) == before
