"""Ranges of sizes: what may be padded is found by ONNX Runtime's outputs, and one library computes every size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import autotune
from autotune.deployment.any_size_check import find_size_mistake
from autotune.deployment.padding_study import study_padding
from autotune.models.dynamic_axes import read_dynamic_inputs
from autotune.models.shape_plan import OutputDim, Padding
from autotune.models.size_range import Size, SizeRange
from search_spaces import Misuse, Target
from tests.support.command_line import run_here
from tuning_logs import TuningLog

BATCH, LENGTH = SizeRange(1, 3), SizeRange(2, 12, 2)
DIMS: dict[str, Size] = {"batch": BATCH, "length": LENGTH}


def saved(path: Path, nodes: Sequence[Any], weights: dict[str, Any], output: str, masked: bool) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "length", 4])]
    if masked:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", "length"]))
    graph = helper.make_graph(
        nodes,
        "network",
        inputs,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def pooling(path: Path, scale: float = 1.0) -> Path:
    """Attention over the positions that a mask leaves, which weighs their features into one vector."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["kept", "one"], ["hidden"]),
        helper.make_node("Mul", ["hidden", "large"], ["bias"]),
        helper.make_node("Unsqueeze", ["bias", "last"], ["bias3"]),
        helper.make_node("Add", ["scores", "bias3"], ["biased"]),
        helper.make_node("Softmax", ["biased"], ["weights"], axis=1),
        helper.make_node("Mul", ["x", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "positions"], ["y"], keepdims=0),
    ]
    weights = {
        "w": scale * rng.standard_normal((4, 1), np.float32),
        "one": np.float32(1),
        "large": np.float32(1e4),
        "last": np.array([2]),
        "positions": np.array([1]),
    }
    return saved(path, nodes, weights, "y", masked=True)


def means(path: Path) -> Path:
    """The mean over all positions."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)]
    return saved(path, nodes, {}, "y", masked=False)


def rows(path: Path) -> Path:
    """The positions of all samples in one dimension."""
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    return saved(path, nodes, {"shape": np.array([-1, 4])}, "y", masked=False)


def doubled(path: Path) -> Path:
    """Every position twice, one after the other."""
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    return saved(path, nodes, {"scales": np.array([1, 2, 1], np.float32)}, "y", masked=False)


@pytest.mark.parametrize(
    ("network", "paddings", "outputs"),
    [
        (pooling, (Padding(), Padding((1,))), {(0, 0, 1, 0)}),
        (means, (Padding(), None), {(0, 0, 1, 0)}),
        (rows, (None, None), set()),
        (doubled, (Padding(), Padding()), {(0, 0, 1, 0), (1, 1, 2, 0)}),
    ],
)
def test_padding_is_right_where_the_outputs_of_onnx_runtime_stay(
    network: Any, paddings: tuple[Padding | None, ...], outputs: set[tuple[int, ...]], tmp_path: Path
) -> None:
    path = network(tmp_path / "m.onnx")
    found = study_padding(path, read_dynamic_inputs(path, {}, DIMS)[0], threads=1)
    assert found.paddings == paddings
    assert all(isinstance(one, OutputDim) and one.run == 1 for one in found.outputs)
    assert {(one.dim, one.axis, one.rise, one.offset) for one in found.outputs} == outputs


def test_200_random_sizes_have_the_outputs_of_onnx_runtime_masks_of_nothing_included(
    tmp_path: Path, target: Target
) -> None:
    path = pooling(tmp_path / "m.onnx")
    model = autotune.load_dynamic_model(path, dims=DIMS)
    assert model.plan.has_fallback
    assert model.notices == ()
    built = autotune.compile(model, target, TuningLog.in_memory())
    loaded = autotune.load(built.save(tmp_path / "m.so"))
    session = onnxruntime.InferenceSession(path)
    rng = np.random.default_rng(1)
    for _ in range(200):
        shape = (int(rng.choice(BATCH.sizes)), int(rng.choice(LENGTH.sizes)))
        x, mask = rng.standard_normal((*shape, 4), np.float32), rng.integers(0, 2, shape)
        [right] = session.run(None, {"x": x, "mask": mask})
        np.testing.assert_allclose(loaded(x, mask), right, atol=1e-5)


def test_sizes_that_may_not_be_padded_are_built_as_far_as_the_limit_goes(
    tmp_path: Path, target: Target
) -> None:
    path = means(tmp_path / "m.onnx")
    model = autotune.load_dynamic_model(path, {"x": (2, LENGTH, 4)}, max_mb=0.2)
    assert 1 < len(model.plan.variants) < 6
    assert model.plan.inputs.high in model.plan.variants
    [notice] = model.notices
    missing = 6 - len(model.plan.variants)
    assert notice.startswith(f"{missing} sizes are not built (length: inputs may not be padded")
    assert "untuned" in notice
    built = autotune.compile(model, target, TuningLog.in_memory())
    x = np.random.default_rng(0).standard_normal((2, 12, 4), np.float32)
    for length in LENGTH.sizes:
        np.testing.assert_allclose(built(x[:, :length]), x[:, :length].mean(axis=1), atol=1e-6)


def test_a_build_that_computes_something_else_at_some_size_is_found(tmp_path: Path, target: Target) -> None:
    path, other = pooling(tmp_path / "m.onnx"), pooling(tmp_path / "other.onnx", scale=1.01)
    model = autotune.load_dynamic_model(path, dims=DIMS)
    library = autotune.compile(model, target, TuningLog.in_memory()).save(tmp_path / "m.so")
    assert find_size_mistake(library, path, model.plan, threads=1) is None
    found = find_size_mistake(library, other, model.plan, threads=1)
    assert found is not None
    assert found.startswith("at ")
    assert "more than rounding explains" in found


def test_a_limit_without_a_range_is_refused(tmp_path: Path) -> None:
    path = means(tmp_path / "m.onnx")
    ended = run_here("tune", path, "--trials", 1, "--dim", "batch=1", "--dim", "length=2", "--max-mb", 1)
    assert ended.returncode == 2
    assert "found no range" in ended.stderr.replace("\n", " ")


@pytest.mark.long
def test_a_job_tunes_a_few_sizes_and_builds_one_library(tmp_path: Path) -> None:
    path = pooling(tmp_path / "m.onnx")
    ended = run_here(
        "tune", path, "--dim", "batch=1..2", "--dim", "length=4", "--trials", 2, "--log",
        tmp_path / "log.jsonl", "--output", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    built = autotune.load(tmp_path / "out" / "m.so")
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 2):
        x = np.random.default_rng(0).standard_normal((batch, 4, 4), np.float32)
        mask = np.ones((batch, 4), np.int64)
        [right] = session.run(None, {"x": x, "mask": mask})
        np.testing.assert_allclose(built(x, mask), right, atol=1e-5)
    with pytest.raises(Misuse, match=r"expected x:1\.\.2,4,4 float32; mask:1\.\.2,4 int64"):
        built(np.zeros((3, 4, 4), np.float32), np.ones((3, 4), np.int64))


def test_ranges_are_for_onnx_files_and_there_has_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"an ONNX file for a range of sizes; found m\.tflite"):
        autotune.load_dynamic_model(tmp_path / "m.tflite", dims=DIMS)
    with pytest.raises(Misuse, match="a range for some size"):
        autotune.load_dynamic_model(means(tmp_path / "m.onnx"), dims={"batch": 1, "length": 4})
