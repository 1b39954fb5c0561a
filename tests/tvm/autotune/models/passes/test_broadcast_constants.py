"""Scales and offsets between convolutions are computed in the layout, and the kernel, of the first of them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog


def network(
    path: Path, operator: str, operands: list[str], scale: list[float] | list[list[list[float]]]
) -> Path:
    """Two pointwise convolutions of four channels, a scale between them."""
    weight = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node(operator, operands, ["s"]),
            helper.make_node("Conv", ["s", "w"], ["y"]),
        ],
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array(scale, np.float32), "k")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("scale", [[1.5], [[[1.0]], [[2.0]], [[3.0]], [[4.0]]]], ids=["one", "a channel"])
@pytest.mark.parametrize(
    ("operator", "operands"),
    [("Mul", ["c", "k"]), ("Mul", ["k", "c"]), ("Add", ["k", "c"]), ("Sub", ["c", "k"]), ("Div", ["c", "k"])],
)
def test_a_scale_is_fused_into_the_convolution_before_it(
    operator: str, operands: list[str], scale: list[float], tmp_path: Path, target: Target
) -> None:
    model = load_model(network(tmp_path / "scaled.onnx", operator, operands, scale))
    names = [name for name, _ in calls(lower(model, target))]
    assert sum("conv2d" in name for name in names) == 2
    assert all("conv2d" in name or name.startswith("transpose") for name in names), names
    assert len(names) <= 4

    x = np.random.default_rng(0).standard_normal((1, 4, 5, 6)).astype(np.float32)
    given = {"c": x, "k": np.array(scale, np.float32)}
    numpy_operator = {"Mul": np.multiply, "Add": np.add, "Sub": np.subtract, "Div": np.divide}[operator]
    y = compile(model, target, TuningLog.in_memory()).executable(x)
    np.testing.assert_allclose(y, numpy_operator(*(given[one] for one in operands)), rtol=1e-6)


def test_a_constant_that_is_taken_from_is_left_first(tmp_path: Path, target: Target) -> None:
    model = load_model(network(tmp_path / "taken.onnx", "Sub", ["k", "c"], [1.5]))
    x = np.random.default_rng(1).standard_normal((1, 4, 5, 6)).astype(np.float32)
    y = compile(model, target, TuningLog.in_memory()).executable(x)
    np.testing.assert_allclose(y, np.float32(1.5) - x, rtol=1e-6)
