"""Softmax along rows that do not fill vectors: the same numbers, masked ones and infinities among them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scipy import special

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog


def softmax(path: Path, shape: list[int], axis: int) -> Model:
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], axis=axis)],
        "softmax",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load_model(path)


@pytest.mark.parametrize(
    ("shape", "axis"), [([2, 3, 33], -1), ([1, 4, 50], 2), ([5, 197], -1), ([197], 0), ([2, 50, 3], 1)]
)
def test_the_numbers_are_the_same(shape: list[int], axis: int, tmp_path: Path, target: Target) -> None:
    model = softmax(tmp_path / "softmax.onnx", shape, axis)
    x = np.random.default_rng(0).normal(0, 30, shape).astype(np.float32)
    x[..., 1::3] = -np.inf
    y = compile(model, target, TuningLog.in_memory())(x)
    np.testing.assert_allclose(y, special.softmax(x.astype(np.float64), axis=axis), rtol=3e-5, atol=1e-9)


@pytest.mark.parametrize(("size", "steps"), [(197, 208), (33, 48), (192, 192), (31, 31)])
def test_reductions_go_over_whole_vectors(size: int, steps: int, tmp_path: Path, target: Target) -> None:
    text = lower(softmax(tmp_path / "softmax.onnx", [4, size], -1), target).script()
    assert f"T.grid(T.int64(4), T.int64({steps}))" in text
