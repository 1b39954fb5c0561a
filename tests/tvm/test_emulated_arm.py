"""An ARM board for real: cross-compiled kernels, run by arm64 Python and TVM in emulation, over the tracker.

Emulated times say nothing about a board, and the log says that they are emulated.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

sys.path.insert(0, str(Path(__file__).parent))

from faulty_kernels import RUN_FAULTS, faulty
from rpc_boards import ROOT, Boards

from autotune.artifact import Artifact
from autotune.budget import Budget
from autotune.device import Device, parse_device
from autotune.equipment import open_builder
from autotune.job import TuningJob
from autotune.remote_runner import RemoteRunner
from autotune.samplers import SamplerKind, sampler_factory
from autotune.tuner import Tuner
from search_spaces import modules
from search_spaces.task import TuningTask
from search_spaces.tensor_ir_space import TensorIRSpace
from tuning_logs.log import TuningLog
from tuning_logs.measurement import Failure, Timing

TARGET = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
COMPILER = "aarch64-linux-gnu-gcc"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "autotune" / "arm64"
NEEDED = ("qemu-aarch64-static", COMPILER, "apt-get", "dpkg-deb")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
# Memory and time are those of the emulator: a session is 200 MB before it does anything.
FAULTS = (
    "segfault",
    "abort",
    "quiet exit",
    "busy hang",
    "memory growth",
    "wrong result",
    "write past the end",
)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not run without {', '.join(MISSING)} (make system)")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emulated_arm", ROOT / "scripts" / "emulated_arm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def boards(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    python = tuple(script.command(script.build(CACHE)))
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


def test_faults_on_the_board_cost_one_candidate_each(device: Device, boards: Boards, tmp_path: Path) -> None:
    x = te.placeholder((16,), name="x")
    func = te.create_prim_func([x, te.compute((16,), lambda i: x[i] + 1.0, name="y")])
    space = TensorIRSpace(TuningTask(modules.workload(func, "add-one"), device.target))
    with (
        open_builder(device) as builder,
        RemoteRunner(boards.tracker, "arm", device.threads, timeout_secs=10.0) as runner,
    ):

        def run_default() -> None:
            [artifact] = builder.build([space.apply(space.default)])
            assert isinstance(artifact, Artifact)
            [outcome] = runner.run([artifact])
            assert isinstance(outcome.measurement, Timing), outcome

        run_default()
        for name in FAULTS:
            fault, kind, said = RUN_FAULTS[name]
            folder = tmp_path / name.replace(" ", "-")
            folder.mkdir()
            [outcome] = runner.run([faulty(space, folder, fault, COMPILER)])
            assert isinstance(outcome.measurement, Failure), name
            assert outcome.measurement.kind is kind, (name, outcome)
            assert said.replace("2 s", "10 s") in outcome.measurement.message, name
            run_default()
