"""Dequantized convolutions and products become products of integers that are scaled, and compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx_comparison import compare, run
from written_network import written_network

from autotune.models.onnx_passes.quantized_products import with_integer_products

RNG = np.random.default_rng(0)
IMAGE, ROWS = "float[2,6,9,8]", "float[5,16]"
DATA = "q = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q, sx, zx)"


def constants(dtype: type = np.int8) -> dict[str, Any]:
    limits = np.iinfo(dtype)

    def whole(*shape: int) -> Any:
        return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)

    return {
        "sx": np.float32(0.03),
        "zx": np.uint8(7),
        "zs": np.int8(-5),
        "w": whole(8, 6, 3, 3),
        "wg": whole(6, 3, 3, 2),
        "m": whole(16, 12),
        "t": whole(12, 16),
        "s": np.float32(0.02),
        "s8": RNG.uniform(0.01, 0.05, 8).astype(np.float32),
        "s12": RNG.uniform(0.01, 0.05, 12).astype(np.float32),
        "z": dtype(3),
        "z12": whole(12),
        "b8": RNG.standard_normal(8).astype(np.float32),
        "b12": RNG.standard_normal(12).astype(np.float32),
    }


def network(kind: str, nodes: str, dtype: type = np.int8) -> onnx.ModelProto:
    model = written_network(f"({kind} x) => (float y)", nodes, constants(dtype), opset=21)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        (IMAGE, f"{DATA} v = DequantizeLinear(w, s, z) y = Conv(d, v)"),
        (IMAGE, f"{DATA} v = DequantizeLinear(w, s) y = Conv<pads=[1,0,2,1], strides=[2,1]>(d, v, b8)"),
        (IMAGE, f"{DATA} v = DequantizeLinear<axis=0>(w, s8) y = Conv(d, v, b8)"),
        (IMAGE, f"{DATA} v = DequantizeLinear(wg, s) y = Conv<group=2, dilations=[2,1]>(d, v)"),
        (ROWS, f"{DATA} v = DequantizeLinear<axis=1>(m, s12, z12) y = MatMul(d, v)"),
        (ROWS, f"{DATA} v = DequantizeLinear<axis=-1>(m, s12) y = Gemm(d, v, b12)"),
        (ROWS, f"{DATA} v = DequantizeLinear<axis=0>(t, s12) y = Gemm<transB=1>(d, v, b12)"),
        (ROWS, f"{DATA} v = DequantizeLinear<axis=0>(t, s12) y = Gemm<transB=1>(d, v)"),
        (
            ROWS,
            "q = QuantizeLinear(x, sx, zs) d = DequantizeLinear(q, sx, zs) v = DequantizeLinear(m, s, z) "
            "a = MatMul(d, v) b = MatMul(d, v) c = ReduceSum(d) e = Add(a, b) y = Add(e, c)",
        ),
    ],
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_products_are_of_integers(kind: str, nodes: str, dtype: type) -> None:
    model = network(kind, nodes, dtype)
    rewritten = with_integer_products(model)

    onnx.checker.check_model(rewritten)
    readers = {
        name
        for node in rewritten.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
        for name in node.input
    }
    assert not readers & {"d", "v"}
    shape = [each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.normal(0, 2, shape).astype(np.float32)
    compare(run(rewritten, [x]), run(model, [x]), 1e-5)


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        (ROWS, "v = DequantizeLinear(m, s) y = MatMul(x, v)"),
        (ROWS, f"{DATA} u = Neg(sx) y = MatMul(d, u)"),
        (ROWS, f"{DATA} v = DequantizeLinear<axis=0>(t, s12) w = Transpose(v) y = MatMul(d, w)"),
        (ROWS, f"{DATA} v = DequantizeLinear(m, s) y = Gemm<alpha=0.5>(d, v)"),
        (
            ROWS,
            "n = Neg(sx) q = QuantizeLinear(x, n, zx) d = DequantizeLinear(q, n, zx) v = DequantizeLinear(m, s) "
            "y = MatMul(d, v)",
        ),
    ],
)
def test_other_products_stay_as_they_are(kind: str, nodes: str) -> None:
    model = network(kind, nodes)
    assert with_integer_products(model) is model
