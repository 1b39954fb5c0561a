"""Whole networks of halves on tensor cores: lowered, tuned, logged, built and run, on a GPU or an emulated one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from emulated_gpu import check_on_emulated_gpu
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from autotune.builders.local_builder import LocalBuilder
from autotune.deployment.compilation import compile
from autotune.deployment.coverage import Status
from autotune.deployment.executable import load
from autotune.devices.device_url import parse_device
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.config import baseline_config
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.file.log import TuningLog
from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord

# What the GPU of this machine is, where there is one.
TEST_GPU = os.environ.get("AUTOTUNE_TEST_GPU", "nvidia/nvidia-a100")


def perceptron() -> onnx.ModelProto:
    """Two dense layers of halves."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"]),
        helper.make_node("Add", ["a", "b0"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "w1"], ["d"]),
        helper.make_node("Add", ["d", "b1"], ["y"]),
    ]
    weights = {"w0": (64, 48), "b0": (48,), "w1": (48, 32), "b1": (32,)}
    return _model(nodes, weights, (32, 64), (32, 32))


def convolutions() -> onnx.ModelProto:
    """A window of 3 by 3, and a pointwise convolution with a stride behind it."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1", "b1"], ["y"], strides=[2, 2]),
    ]
    weights = {"w0": (24, 16, 3, 3), "b0": (24,), "w1": (32, 24, 1, 1), "b1": (32,)}
    return _model(nodes, weights, (1, 16, 8, 8), (1, 32, 4, 4))


def _model(
    nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], *ends: tuple[int, ...]
) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array((rng.standard_normal(shape) / 8).astype(np.float16), name)
        for name, shape in weights.items()
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape)
        for name, shape in zip("xy", ends, strict=True)
    )
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def is_default(record: TuningRecord) -> bool:
    return record.config == baseline_config(record.task.target)


def is_for_tensor_cores(task: TuningTask) -> bool:
    return any(sketch.is_tensorized for sketch in TensorIRSpace(task).sketches)


def with_secs(record: TuningRecord, secs: float) -> TuningRecord:
    assert isinstance(record.measurement, Timing)
    return replace(record, measurement=replace(record.measurement, run_secs=(secs,) * 5))


@pytest.mark.parametrize("network", [perceptron, convolutions])
def test_a_job_on_a_gpu_builds_a_model(network: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    if not tvm.cuda(0).exist:
        pytest.skip("no GPU here: networks of halves were run by an emulated one only")
    device = parse_device(f"cuda:0?target={TEST_GPU}")
    graph = network()
    onnx.save(graph, tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    sampler = sampler_factory(SamplerKind.RANDOM)
    with TuningLog.open(tmp_path / "log.jsonl") as log, LocalBuilder(timeout_secs=120.0) as builder:
        tasks = [each for each in extract_tasks(model, device.target) if is_for_tensor_cores(each)]
        for task in tasks:
            job = TuningJob((task,), device, Budget(trials=2), sampler=sampler, batch=2, finals_share=0.0)
            for record in (one for records in Tuner(job, log, builder).rounds() for one in records):
                assert isinstance(record.measurement, Timing), record
                if not is_default(record):
                    assert str(record.config.by_name["sketch"]).startswith("mma-")
                    assert record.check is not None
                    assert record.check.max_rel_error < 1e-2
        found = list(log.iterate())
    assert len(tasks) == 2
    # What is faster is not the question here.
    decided = TuningLog.in_memory()
    decided.append([with_secs(one, 1.0 if is_default(one) else 1e-3) for one in found])
    built = compile(model, device.target, decided, device.fingerprint)
    assert [row.status for row in built.coverage.rows].count(Status.TUNED) == 2
    run = load(built.save(tmp_path / "model.so"), device.tvm_name)
    shape = [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim]
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float16)
    [expected] = ReferenceEvaluator(graph).run(None, {"x": values})
    np.testing.assert_allclose(run(values), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.long
@pytest.mark.skipif(tvm.cuda(0).exist, reason="a real GPU is here")
def test_on_an_emulated_gpu_the_models_run(tmp_path: Path) -> None:
    check_on_emulated_gpu(__file__, "test_a_job_on_a", 2, tmp_path)
