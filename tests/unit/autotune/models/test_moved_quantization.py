"""Pools, moves and concatenations of quantized tensors compute on bytes, exactly as ONNX Runtime does on numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from written_network import written_network

from autotune.models.onnx_passes.moved_quantization import with_moved_quantization
from autotune.models.onnx_passes.redundant_nodes import with_live_nodes, without_copies

CONSTANTS = {
    "s": np.float32(0.05),
    "z": np.uint8(7),
    "t": np.float32(0.04),
    "u": np.uint8(100),
    "i": np.int8(-3),
    "negative": np.float32(-0.05),
    "scales": np.array([0.05, 0.04, 0.03, 0.02], np.float32),
    "points": np.array([7, 7, 7, 7], np.uint8),
    "shape": np.array([2, -1], np.int64),
    "rows": np.array([2, 0], np.int64),
}
SIGNATURE = "(uint8[1,4,6,6] x, uint8[1,4,6,6] v) => ({dtype} y)"
DEQUANTIZE = "a = DequantizeLinear(x, s, z)"
#: Nodes, the type of y, and the operators that are left.
MOVED = {
    "max pool": (
        f"{DEQUANTIZE} y = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(a)",
        "float",
        "MaxPool DequantizeLinear",
    ),
    "max pool between two steps": (
        f"{DEQUANTIZE} b = MaxPool<kernel_shape=[2,2]>(a) y = QuantizeLinear(b, s, z)",
        "uint8",
        "MaxPool",
    ),
    "max pool of another scale": (
        f"{DEQUANTIZE} b = MaxPool<kernel_shape=[2,2]>(a) y = QuantizeLinear(b, t, u)",
        "uint8",
        "MaxPool DequantizeLinear QuantizeLinear",
    ),
    "moves one after the other": (
        f"{DEQUANTIZE} b = Transpose<perm=[0,2,3,1]>(a) c = QuantizeLinear(b, s, z) d = DequantizeLinear(c, s, z) "
        "e = Reshape(d, shape) f = QuantizeLinear(e, s, z) y = DequantizeLinear(f, s, z)",
        "float",
        "Transpose Reshape DequantizeLinear",
    ),
    "rows": (f"{DEQUANTIZE} b = Gather<axis=1>(a, rows) y = QuantizeLinear(b, s, z)", "uint8", "Gather"),
    "concatenation": (
        f"{DEQUANTIZE} b = DequantizeLinear(v, t, u) c = Concat<axis=1>(a, b) y = QuantizeLinear(c, s, z)",
        "uint8",
        "DequantizeLinear QuantizeLinear Concat",
    ),
    "concatenation of numbers": (
        f"{DEQUANTIZE} f = Neg(a) c = Concat<axis=1>(a, f, f) y = QuantizeLinear(c, t, u)",
        "uint8",
        "DequantizeLinear Neg QuantizeLinear QuantizeLinear QuantizeLinear Concat",
    ),
}
KEPT = {
    "another scale": f"{DEQUANTIZE} b = Transpose(a) y = QuantizeLinear(b, t, z)",
    "another zero point": f"{DEQUANTIZE} b = Transpose(a) y = QuantizeLinear(b, s, u)",
    "another type": f"{DEQUANTIZE} y = QuantizeLinear(a, s, i)",
    "no zero point": f"{DEQUANTIZE} y = QuantizeLinear(a, s)",
    "a negative scale": (
        "a = DequantizeLinear(x, negative, z) b = MaxPool<kernel_shape=[2,2]>(a) y = QuantizeLinear(b, negative, z)"
    ),
    "a scale for each channel": (
        "a = DequantizeLinear(x, scales, points) b = Transpose(a) y = QuantizeLinear<axis=2>(b, scales, points)"
    ),
    "a reader of numbers": (
        f"{DEQUANTIZE} b = Transpose(a) c = QuantizeLinear(b, s, z) d = DequantizeLinear(c, t, z) y = Add(b, d)"
    ),
    "a concatenation that is read twice": (
        f"{DEQUANTIZE} b = Neg(a) c = Concat<axis=1>(a, b) d = QuantizeLinear(c, s, z) "
        "e = DequantizeLinear(d, t, z) y = Add(c, e)"
    ),
}


def network(nodes: str, dtype: str) -> onnx.ModelProto:
    return written_network(SIGNATURE.format(dtype=dtype), nodes, CONSTANTS, 19)


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = {name: rng.integers(0, 256, (1, 4, 6, 6)).astype(np.uint8) for name in ("x", "v")}
    return list(session.run(None, given))


@pytest.mark.parametrize("name", MOVED)
def test_integers_are_moved_and_compared_themselves(name: str) -> None:
    nodes, dtype, left = MOVED[name]
    model = network(nodes, dtype)
    moved = with_live_nodes(without_copies(with_moved_quantization(model)))
    operators = Counter(node.op_type for node in moved.graph.node)
    operators.pop("Identity", None)
    assert operators == Counter(left.split())
    for found, wanted in zip(outputs(moved), outputs(model), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", KEPT)
def test_what_would_change_the_results_stays(name: str) -> None:
    dtype = {"another type": "int8"}.get(name, "float" if "Add" in KEPT[name] else "uint8")
    model = network(KEPT[name], dtype)
    assert with_moved_quantization(model) is model


def test_every_byte_stays_itself_for_scales_of_any_size() -> None:
    every = np.arange(256, dtype=np.uint8)
    for scale in np.geomspace(1e-29, 1e29, 200).astype(np.float32):
        numbers = (every.astype(np.int32) - 7).astype(np.float32) * scale
        np.testing.assert_array_equal(np.rint(numbers / scale) + 7, every)


def test_constants_that_are_dequantized_stay() -> None:
    model = network(
        f"{DEQUANTIZE} b = DequantizeLinear(w, s, z) c = MaxPool<kernel_shape=[2,2]>(b) y = Add(a, c)",
        "float",
    )
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 4, 12, 12), np.uint8), "w"))
    assert with_moved_quantization(model) is model
