"""Transposed convolutions: rewritten as convolutions, they compute what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from search_spaces import Target
from tuning_logs import TuningLog

TARGET = Target.parse("llvm -num-cores=2")


def between_convolutions(path: Path, kernel: tuple[int, int], group: int, **attributes: object) -> Path:
    """Convolution, transposed convolution, sigmoid, convolution: the middle of a segmentation network."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((8, 3, 3, 3)),
        "w2": rng.standard_normal((8, 6 // group, *kernel)),
        "w3": rng.standard_normal((4, 6, 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "w2"], ["b"], group=group, **attributes),
        helper.make_node("Sigmoid", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w3"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "middle",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 5, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("kernel", "group", "attributes"),
    [
        ((2, 2), 1, {"strides": [2, 2]}),
        ((3, 3), 1, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((4, 4), 1, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((3, 5), 1, {"strides": [3, 2], "pads": [0, 1, 1, 2]}),
        ((1, 2), 1, {"strides": [2, 3]}),
        ((3, 3), 1, {}),
        ((3, 3), 2, {"strides": [2, 2]}),
        ((3, 3), 1, {"strides": [2, 2], "dilations": [2, 2]}),
    ],
)
def test_a_transposed_convolution_computes_what_onnx_runtime_computes(
    tmp_path: Path, kernel: tuple[int, int], group: int, attributes: dict[str, list[int]]
) -> None:
    path = between_convolutions(tmp_path / "middle.onnx", kernel, group, **attributes)
    data = np.random.default_rng(1).standard_normal((1, 3, 5, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [expected] = session.run(None, {"x": data})

    found = compile(load_model(path), TARGET, TuningLog.in_memory())(data)

    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_plain_one_is_a_convolution_to_the_search(tmp_path: Path) -> None:
    path = between_convolutions(tmp_path / "middle.onnx", (2, 2), 1, strides=[2, 2])

    lowered = lower(load_model(path), TARGET)

    assert "transpose" not in " ".join(str(name) for name in lowered.functions if "conv" in str(name))
    assert "conv2d_transpose" not in str(lowered["main"])


def test_a_relax_module_with_one_between_convolutions_is_built_right() -> None:
    rng = np.random.default_rng(0)
    weights = [
        rng.standard_normal(size).astype(np.float32) for size in ((8, 3, 3, 3), (8, 6, 2, 2), (4, 6, 1, 1))
    ]
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 3, 5, 6), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            first = builder.emit(relax.op.nn.conv2d(x, relax.const(weights[0]), padding=[1, 1, 1, 1]))
            larger = builder.emit(
                relax.op.nn.conv2d_transpose(first, relax.const(weights[1]), strides=[2, 2])
            )
            last = builder.emit_output(relax.op.nn.conv2d(larger, relax.const(weights[2])))
        builder.emit_func_output(last)
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "w1"], ["b"], strides=[2, 2]),
        helper.make_node("Conv", ["b", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "peer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 5, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, f"w{place}") for place, values in enumerate(weights)],
    )
    peer = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = rng.standard_normal((1, 3, 5, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(peer.SerializeToString(), providers=["CPUExecutionProvider"])

    found = compile(builder.get(), TARGET, TuningLog.in_memory())(data)

    np.testing.assert_allclose(found, session.run(None, {"x": data})[0], rtol=1e-3, atol=1e-4)
