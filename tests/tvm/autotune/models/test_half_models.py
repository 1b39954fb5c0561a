"""Models in half floats, and in several types, compute what the same models do in float32, within their rounding."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge
from autotune.deployment.reference import reference_for
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

TYPES = {
    "float32": (TensorProto.FLOAT, np.float32),
    "float16": (TensorProto.FLOAT16, np.float16),
    "bfloat16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}
RANDOM = np.random.default_rng(0)
node = helper.make_node


def weight(name: str, dtype: str, *shape: int, near: float = 0.0) -> onnx.TensorProto:
    values = near + RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(TYPES[dtype][1]), name)


def value(name: str, dtype: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TYPES[dtype][0], shape)


def convolutions(dtype: str) -> onnx.GraphProto:
    """Convolutions, one of each channel alone, with a batch norm, gates and pools."""
    weights = [
        weight("k", dtype, 16, 3, 3, 3), weight("kd", dtype, 16, 1, 3, 3), weight("kp", dtype, 32, 16, 1, 1),
        weight("b", dtype, 16), weight("m", dtype, 32), weight("s", dtype, 32, near=1), weight("f", dtype, 32, 10),
        numpy_helper.from_array(RANDOM.uniform(0.5, 2, 32).astype(TYPES[dtype][1]), "v"),
    ]  # fmt: skip
    nodes = [
        node("Conv", ["x", "k", "b"], ["c1"], pads=[1] * 4, strides=[2, 2]), node("Relu", ["c1"], ["r"]),
        node("Conv", ["r", "kd"], ["c2"], pads=[1] * 4, group=16), node("HardSwish", ["c2"], ["h"]),
        node("Conv", ["h", "kp"], ["c3"]), node("BatchNormalization", ["c3", "s", "m", "m", "v"], ["n"]),
        node("Sigmoid", ["n"], ["g"]), node("Mul", ["n", "g"], ["w"]),
        node("MaxPool", ["w"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["p"], ["a"]), node("Flatten", ["a"], ["l"]), node("MatMul", ["l", "f"], ["y"]),
    ]  # fmt: skip
    return helper.make_graph(
        nodes, "convolutions", [value("x", dtype, 1, 3, 16, 16)], [value("y", dtype, 1, 10)], weights
    )


def attention(dtype: str) -> onnx.GraphProto:
    """Attention and a feed-forward layer with their norms and residuals."""
    weights = [
        weight("q", dtype, 32, 32), weight("k", dtype, 32, 32), weight("v", dtype, 32, 32),
        weight("u", dtype, 32, 64), weight("d", dtype, 64, 32), weight("s", dtype, 32, near=1), weight("b", dtype, 32),
    ]  # fmt: skip
    nodes = [
        node("LayerNormalization", ["x", "s", "b"], ["n"], axis=-1),
        node("MatMul", ["n", "q"], ["mq"]), node("MatMul", ["n", "k"], ["mk"]), node("MatMul", ["n", "v"], ["mv"]),
        node("Transpose", ["mk"], ["t"], perm=[0, 2, 1]), node("MatMul", ["mq", "t"], ["l"]),
        node("Softmax", ["l"], ["p"], axis=-1), node("MatMul", ["p", "mv"], ["o"]), node("Add", ["x", "o"], ["r"]),
        node("LayerNormalization", ["r", "s", "b"], ["n2"], axis=-1), node("MatMul", ["n2", "u"], ["h"]),
        node("Gelu", ["h"], ["g"]), node("MatMul", ["g", "d"], ["f"]), node("Add", ["r", "f"], ["y"]),
    ]  # fmt: skip
    return helper.make_graph(
        nodes, "attention", [value("x", dtype, 1, 16, 32)], [value("y", dtype, 1, 16, 32)], weights
    )


def mixed(dtype: str) -> onnx.GraphProto:
    """Products in half floats between a norm and a softmax in float32; one output of each type."""
    nodes = [
        node("LayerNormalization", ["x", "s", "b"], ["n"], axis=-1), node("Cast", ["n"], ["c"], to=TYPES[dtype][0]),
        node("MatMul", ["c", "u"], ["h"]), node("Tanh", ["h"], ["t"]), node("MatMul", ["t", "d"], ["m"]),
        node("Cast", ["m"], ["w"], to=TensorProto.FLOAT), node("Add", ["w", "x"], ["r"]),
        node("Softmax", ["r"], ["y"], axis=-1), node("Cast", ["r"], ["z"], to=TYPES[dtype][0]),
    ]  # fmt: skip
    weights = [
        weight("u", dtype, 32, 64), weight("d", dtype, 64, 32),
        weight("s", "float32", 32, near=1), weight("b", "float32", 32),
    ]  # fmt: skip
    outputs = [value("y", "float32", 2, 8, 32), value("z", dtype, 2, 8, 32)]
    return helper.make_graph(nodes, "mixed", [value("x", "float32", 2, 8, 32)], outputs, weights)


def saved(graph: onnx.GraphProto, folder: Path) -> Path:
    path = folder / f"{graph.name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("graph", [convolutions, attention, mixed])
def test_outputs(graph, dtype: str, target: Target, tmp_path: Path) -> None:
    model = load_model(saved(graph(dtype), tmp_path))
    inputs = draw(model.inputs, 0)
    found = compile(model, target, TuningLog.in_memory())(*inputs)
    outputs = found if isinstance(found, tuple) else (found,)
    expected = reference_for(model.path, model.shapes, 1).expected(inputs, 0)
    assert judge(outputs, expected).mistake is None
    wrong = [-each for each in outputs]
    assert judge(wrong, expected).mistake is not None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_network_in_half_floats_has_no_more_kernels(dtype: str, target: Target, tmp_path: Path) -> None:
    halves, floats = (
        extract_tasks(load_model(saved(convolutions(each), tmp_path)), target) for each in (dtype, "float32")
    )
    assert sum(task.weight for task in halves) == sum(task.weight for task in floats)
