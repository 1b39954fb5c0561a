"""Operators that ONNX Runtime's optimizer makes of several, taken apart again."""

from __future__ import annotations

from autotune.models.onnx_passes import activations
from autotune.models.onnx_passes.activations import gelu_of
from autotune.models.onnx_passes.convolutions import convolution
from autotune.models.onnx_passes.matrices import determinant_of
from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.pooling import max_pool
from autotune.models.onnx_passes.tensor import Tensor

# Larger inverses need pivots, which depend on values.
_LARGEST_INVERSE = 3
_CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_POOL = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
_REMEDY = "Export the model without ONNX Runtime's graph optimizations"


def fused_convolution(node: Node) -> Outputs:
    """FusedConv: a convolution, another tensor added, an activation."""
    result = node.part("Conv", node.inputs[:3], convolution, **node.given(*_CONVOLUTION))
    if node.has(3):
        result = result + node[3]
    return [_activated(node, result, node.attribute("activation_params") or [])]


def fused_gemm(node: Node) -> Outputs:
    """FusedGemm: a Gemm and an activation."""
    result = node.graph.add("Gemm", *node.inputs, **node.given("alpha", "beta", "transA", "transB"))
    named = node.given("activation_alpha", "activation_beta", "activation_gamma")
    return [_activated(node, result, list(named.values()))]


def _activated(node: Node, x: Tensor, values: list[float]) -> Tensor:
    name = node.attribute("activation", "")
    if not name:
        return x
    if name == "Clip":
        return x.clip(*values)
    if name not in _ACTIVATIONS:
        raise node.refusal(f"has the activation {name!r}", _REMEDY)
    return node.part(name, [x], _ACTIVATIONS[name], **dict(zip(("alpha", "beta"), values, strict=False)))


def channels_last_convolution(node: Node) -> Outputs:
    """NhwcConv: a convolution of data whose channels are last."""
    inputs = [_channels_first(node[0]), *node.inputs[1:3]]
    return [_channels_last(node.part("Conv", inputs, convolution, **node.given(*_CONVOLUTION)))]


def channels_last_max_pool(node: Node) -> Outputs:
    """NhwcMaxPool: a MaxPool of bytes whose channels are last."""
    x = _channels_first(node[0])
    return [_channels_last(node.part("MaxPool", [x], max_pool, **node.given(*_POOL)))]


def bias_add(node: Node) -> Outputs:
    """BiasAdd: a sum of three."""
    return [node[0] + node[1] + node[2]]


def bias_split_gelu(node: Node) -> Outputs:
    """BiasSplitGelu: one half of a sum times the exact Gelu of the other half."""
    total = node[0] + node[1]
    half = total.shape[-1] // 2
    left, right = total.slice(total.rank - 1, 0, half), total.slice(total.rank - 1, half, None)
    return [left * gelu_of(right)]


def inverse(node: Node) -> Outputs:
    """Inverse of small matrices by their cofactors."""
    x, size = node[0], node[0].shape[-1]
    if size > _LARGEST_INVERSE:
        raise node.refusal(
            f"inverts matrices of {size} rows", f"Export it for at most {_LARGEST_INVERSE} rows"
        )
    if size == 1:
        return [1 / x]
    rows, columns = x.rank - 2, x.rank - 1
    cofactors = []
    for row in range(size):
        for column in range(size):
            kept = [[each for each in range(size) if each != left_out] for left_out in (row, column)]
            minor = determinant_of(x.take(kept[0], rows).take(kept[1], columns))
            cofactors.append((-minor if (row + column) % 2 else minor).reshape(*minor.shape, 1))
    adjugate = x.graph.add("Concat", *cofactors, axis=rows).reshape(*x.shape)
    adjugate = adjugate.transpose(*range(rows), columns, rows)
    return [adjugate / determinant_of(x).reshape(*x.shape[:-2], 1, 1)]


def _channels_first(x: Tensor) -> Tensor:
    return x.transpose(0, x.rank - 1, *range(1, x.rank - 1))


def _channels_last(x: Tensor) -> Tensor:
    return x.transpose(0, *range(2, x.rank), 1)


def _kept(node: Node) -> Outputs:
    """An activation that needs no rewrite."""
    return None


_ACTIVATIONS: dict[str, Rewrite] = {
    "Elu": activations.elu,
    "HardSigmoid": activations.hard_sigmoid,
    "LeakyRelu": _kept,
    "Relu": _kept,
    "Sigmoid": _kept,
    "Softplus": activations.softplus,
    "Softsign": _kept,
    "Tanh": _kept,
    "ThresholdedRelu": activations.thresholded_relu,
}

REWRITES: dict[str, Rewrite] = {
    "com.microsoft.FusedConv": fused_convolution,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.NhwcConv": channels_last_convolution,
    "com.microsoft.NhwcMaxPool": channels_last_max_pool,
    "com.microsoft.BiasAdd": bias_add,
    "com.microsoft.BiasSplitGelu": bias_split_gelu,
    "com.microsoft.Inverse": inverse,
}
