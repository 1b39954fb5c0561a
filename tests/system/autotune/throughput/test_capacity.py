"""Capacity of small built models and of a server that is known, in seconds."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from command_line import run_here
from onnx import TensorProto, helper, numpy_helper
from toy_inference_server import toy_server

import autotune
from autotune.deployment.engine import draw
from autotune.models.input_spec import InputSpec
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.inference_protocol import infer_request, parse_url
from autotune.throughput.libraries import build_libraries, open_library
from autotune.throughput.server_load import Connection
from search_spaces import AutotuneError

pytestmark = pytest.mark.alone
OPTIONS = autotune.CapacityOptions(batches=(1, 4))


def network(path: Path, batch: int | str, reducing: bool = False) -> Path:
    """A dense layer with a ReLU, or one that adds up along the batch."""
    weight = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    if reducing:
        nodes += [
            helper.make_node("ReduceMean", ["z"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["z", "mean"], ["out"]),
        ]
    output = "out" if reducing else "z"
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 64))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (batch, 32))],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def check(result: CapacityResult, limit_secs: float) -> None:
    """What is true of every result."""
    assert result.expected_per_second > 0.0, result.runs
    held = [one for one in result.runs if one.holds]
    assert result.throughput_per_second == max((one.offered_per_second for one in held), default=0.0)
    for one in held:
        assert one.p99.high_secs is not None
        assert one.p50.secs <= one.p90.secs <= one.p99.secs <= one.p99.high_secs <= limit_secs
    loads = [one.offered_per_second for one in result.curve]
    assert loads == sorted(set(loads))
    assert len(result.runs) >= len(result.curve)


@pytest.mark.long
def test_a_model_file_is_built_for_each_batch_size_and_loaded(tmp_path: Path) -> None:
    model = network(tmp_path / "dense.onnx", "batch")
    result = autotune.capacity(model, 100.0, 0.36, 30.0, OPTIONS)
    check(result, 0.1)
    assert {one.setup.batch for one in result.screened} <= {1, 4}
    assert result.setup in {one.setup for one in result.screened}
    assert {one.setup.threads for one in result.screened} <= {1, result.processors}
    assert result.throughput_per_second == 0.0 or result.dollars_per_million == pytest.approx(
        100 / result.throughput_per_second
    )
    assert result.secs < 60.0


def test_a_library_says_which_inputs_it_takes(tmp_path: Path) -> None:
    model = autotune.load_model(network(tmp_path / "dense.onnx", 1))
    saved = autotune.compile(model, autotune.local_device().target, autotune.TuningLog.in_memory()).save(
        tmp_path / "dense.so"
    )
    served = open_library(saved, (1, 4))
    assert served.model.inputs == model.inputs
    assert served.model.sizes == (1,)
    assert "fixed" in served.notices[0]


def test_a_library_for_a_range_of_batch_sizes_is_called_with_batches(tmp_path: Path) -> None:
    model = autotune.load_dynamic_model(
        network(tmp_path / "dense.onnx", "batch"), dims={"batch": autotune.SizeRange(1, 4)}
    )
    saved = autotune.compile(model, autotune.local_device().target, autotune.TuningLog.in_memory()).save(
        tmp_path / "dense.so"
    )
    served = open_library(saved, (1, 2, 4, 8))
    assert served.model.sizes == (1, 2, 4)
    assert served.model.inputs[0].shape == (1, 64)


@pytest.mark.parametrize(("batch", "reducing"), [("batch", True), (1, False)])
def test_a_model_is_not_batched_where_that_changes_outputs_or_the_file_fixes_it(
    tmp_path: Path, batch: int | str, reducing: bool
) -> None:
    model = autotune.load_model(network(tmp_path / "dense.onnx", batch, reducing))
    log = autotune.TuningLog.in_memory()
    served = build_libraries(model, (1, 4), autotune.local_device(), log, tmp_path)
    assert served.model.sizes == (1,)
    assert ("outputs differ" if reducing else "fixed") in served.notices[0]


@pytest.mark.long
@pytest.mark.parametrize("at_once", [1, 4])
def test_the_capacity_of_a_known_server_is_found(at_once: int) -> None:
    with toy_server(0.005, at_once) as url:
        result = autotune.capacity(url, 60.0, time_secs=40.0)
    check(result, 0.06)
    assert result.setup is None
    rate = 200 * at_once
    assert result.throughput_per_second < rate
    # A run of 20 limits does not show a queue that grows by less than one limit meanwhile.
    assert 0.5 * rate < result.expected_per_second < 1.05 * rate


def test_a_server_without_the_model_is_an_error() -> None:
    with toy_server(0.0) as url, pytest.raises(AutotuneError, match="404"):
        autotune.capacity(f"{url}-2", 10.0, time_secs=2.0)


def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    inputs = (InputSpec("x", (1, 3), "float32"),)
    with toy_server(0.0, idle_secs=0.1) as url:
        body, headers = infer_request(inputs, draw(inputs, 0))
        connection = Connection(parse_url(url), body, headers)
        try:
            assert connection.call()
            time.sleep(0.5)
            assert connection.call()
        finally:
            connection.close()


@pytest.mark.long
def test_a_package_is_served_in_the_setup_that_the_study_names(tmp_path: Path) -> None:
    path = network(tmp_path / "dense.onnx", "batch")
    model = autotune.load_dynamic_model(path, dims={"batch": autotune.SizeRange(1, 4)})
    autotune.package(model, tmp_path / "out", [autotune.ServerPackage()])
    written = tmp_path / "capacity.json"
    options = ("--p99-ms", 100, "--time", "30s", "--price-per-hour", 0.17, "--json", "-o", written)
    printed = run_here("capacity", tmp_path / "out", *options)
    assert printed.returncode == 0, printed.stderr
    document = json.loads(printed.stdout)
    assert document == json.loads(written.read_text())
    result = msgspec.json.decode(written.read_bytes(), type=CapacityResult)
    check(result, 0.1)
    assert "python -m dense.server" in result.served_by
    assert any(one.served_per_second for one in result.screened)


def test_a_limit_that_no_call_meets_is_a_failure_with_numbers(tmp_path: Path) -> None:
    model = network(tmp_path / "dense.onnx", 1)
    failed = run_here("capacity", model, "--p99-ms", 0.001, "--time", "2s")
    assert failed.returncode == 1
    assert "AT742" in failed.stderr
