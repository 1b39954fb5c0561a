"""OpenCL on this machine's processor (PoCL): jobs from the space to the build, on the path that GPUs take."""

from __future__ import annotations

from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rpc_boards import Boards

from autotune.deployment.compilation import compile
from autotune.deployment.executable import load
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.config import UNTOUCHED
from search_spaces.errors import Misuse
from search_spaces.task import TuningTask
from tuning_logs.file.log import TuningLog
from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord

pytestmark = pytest.mark.skipif(
    find_library("OpenCL") is None, reason="not run without OpenCL (apt-get install pocl-opencl-icd)"
)
TRIALS = 2


@pytest.fixture(scope="module")
def device() -> Device:
    return parse_device("opencl:0")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense layer of 8 by 8."""
    weights = np.random.default_rng(0).standard_normal((8, 8), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path_factory.mktemp("opencl") / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_the_target_is_found_from_the_device(device: Device) -> None:
    facts = device.fingerprint.facts
    assert device.target.kind == "opencl"
    assert device.target.attr("max_threads_per_block") == facts["max_work_group_size"]
    assert device.target.attr("max_shared_memory_per_block") == facts["local_memory_bytes"]
    assert int(str(facts["compute_units"])) >= 1
    assert facts["gpu_name"]
    assert parse_device("opencl:0").fingerprint.key == device.fingerprint.key
    named = parse_device("opencl:0?target=opencl -device=mali -max_threads_per_block=64")
    assert named.target.attr("max_threads_per_block") == 64


@pytest.mark.parametrize("url", ["opencl:x", "opencl:0?threads=1", "opencl:0?"])
def test_an_opencl_device_is_named_with_its_number(url: str) -> None:
    if url == "opencl:0?":
        assert parse_device(url).connection == "opencl:0"
        return
    with pytest.raises(Misuse, match=r"opencl:0"):
        parse_device(url)


def test_a_job_tunes_resumes_and_builds_a_model(device: Device, network: Path, tmp_path: Path) -> None:
    model = load_model(network)
    tasks = tuple(extract_tasks(model, device.target))
    with TuningLog.open(tmp_path / "log.jsonl") as log:
        first = tuned(log, device, tasks)
    assert first[0].config == UNTOUCHED
    tried = first[1 : 1 + TRIALS]
    for record in tried:
        assert isinstance(record.measurement, Timing), record
        assert record.check is not None
        assert record.check.max_rel_error < 1e-4
    with TuningLog.open(tmp_path / "log.jsonl") as log:
        resumed = tuned(log, device, tasks)
    assert not {UNTOUCHED, *(record.config for record in tried)} & {one.config for one in resumed[:TRIALS]}

    built = compile(model, device.target, log, device.fingerprint)
    assert built.coverage.missed_share == 0.0
    run: Callable[..., np.ndarray] = load(built.save(tmp_path / "dense.so"), device.tvm_name)
    values = np.random.default_rng(1).standard_normal((8, 8), np.float32)
    weights = numpy_helper.to_array(onnx.load(network).graph.initializer[0])
    np.testing.assert_allclose(run(values), values @ weights, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_board_serves_its_opencl_device(device: Device, network: Path, tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    try:
        boards.start("cl", "--opencl", "0")
        board = parse_device(f"rpc://{boards.tracker}/cl?target={device.target}")
        assert board.fingerprint.key == device.fingerprint.key
        records = tuned(TuningLog.in_memory(), board, tuple(extract_tasks(load_model(network), board.target)))
    finally:
        boards.close()
    assert isinstance(records[1].measurement, Timing), records
    assert records[1].check is not None
    assert records[1].check.max_rel_error < 1e-4


def tuned(log: TuningLog, device: Device, tasks: tuple[TuningTask, ...]) -> list[TuningRecord]:
    sampler = sampler_factory(SamplerKind.RANDOM)
    budget = Budget(trials=TRIALS)
    job = TuningJob(tasks, device, budget, sampler=sampler, batch=TRIALS, finals_share=0.0)
    return [record for found in Tuner(job, log).rounds() for record in found]
