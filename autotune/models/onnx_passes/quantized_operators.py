"""Quantized operators of ONNX Runtime that compute on the numbers that their integers stand for."""

from __future__ import annotations

import math

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.pooling import average_pool
from autotune.models.onnx_passes.quantization import dequantized, quantized
from autotune.models.onnx_passes.tensor import Tensor


def qlinear_binary(node: Node) -> Outputs:
    """QLinearAdd and QLinearMul of ONNX Runtime."""
    left, right = (dequantized(node[place], node[place + 1], node.get(place + 2)) for place in (0, 3))
    result = left.binary(node.operator.removeprefix("QLinear"), right)
    return [quantized(result, node[6], node.get(7), node[0].dtype)]


def qlinear_unary(node: Node) -> Outputs:
    """QLinearSigmoid, QLinearLeakyRelu and QLinearSoftmax of ONNX Runtime."""
    x = dequantized(node[0], node[1], node.get(2))
    if node.operator == "QLinearLeakyRelu":
        result = x.graph.add("LeakyRelu", x, alpha=node.attribute("alpha", 0.01))
    elif node.operator == "QLinearSoftmax":
        axis = node.attribute("axis", -1)
        if node.attribute("opset", 13) < 13:
            axis %= x.rank
            flat = x.reshape(math.prod(x.shape[:axis]), -1)
            result = x.graph.add("Softmax", flat, axis=-1).reshape(*x.shape)
        else:
            result = x.graph.add("Softmax", x, axis=axis)
    else:
        result = x.unary("Sigmoid")
    return [quantized(result, node[3], node.get(4), node[0].dtype)]


def qlinear_mean(node: Node) -> Outputs:
    """QLinearGlobalAveragePool and QLinearReduceMean of ONNX Runtime."""
    x = node[0]
    keepdims = 1
    if node.operator == "QLinearReduceMean":
        axes, keepdims = node.attribute("axes") or range(x.rank), node.attribute("keepdims", 1)
    else:
        axes = range(1, x.rank - 1) if node.attribute("channels_last", 0) else range(2, x.rank)
    mean = dequantized(x, node[1], node.get(2)).mean(axes, keepdims)
    return [quantized(mean, node[3], node.get(4), x.dtype)]


def qlinear_average_pool(node: Node) -> Outputs:
    """QLinearAveragePool of ONNX Runtime, with the channels first or last."""
    x, is_last = node[0], node.attribute("channels_last", 0)
    real = dequantized(x, node[1], node.get(2))
    if is_last:
        real = real.transpose(0, x.rank - 1, *range(1, x.rank - 1))
    given = node.given("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
    pooled = node.part("AveragePool", [real], average_pool, **given)
    if is_last:
        pooled = pooled.transpose(0, *range(2, x.rank), 1)
    return [quantized(pooled, node[3], node.get(4), x.dtype)]


def qlinear_where(node: Node) -> Outputs:
    """QLinearWhere of ONNX Runtime."""
    yes, no = (dequantized(node[place], node[place + 1], node.get(place + 2)) for place in (1, 4))
    chosen = node.graph.add("Where", node[0], yes, no)
    return [quantized(chosen, node[7], node.get(8), node[1].dtype)]


def qlinear_concat(node: Node) -> Outputs:
    """QLinearConcat of ONNX Runtime."""
    scale, zero = node[0], node[1]
    parts = [
        _rescaled((node[place], node[place + 1], node.get(place + 2)), scale, zero)
        for place in range(2, len(node.inputs), 3)
    ]
    return [node.graph.add("Concat", *parts, axis=node.attribute("axis"))]


def _rescaled(part: tuple[Tensor, Tensor, Tensor | None], scale: Tensor, zero: Tensor) -> Tensor:
    """Integers of another scale and zero point for the same numbers; the integers themselves where these are equal."""
    x, own_scale, own_zero = part
    pairs = ((own_scale, scale), (own_zero, zero))
    is_same = x.dtype == zero.dtype and all(
        a is not None and a.array is not None and b.array is not None and np.array_equal(a.array, b.array)
        for a, b in pairs
    )
    return x if is_same else quantized(dequantized(x, own_scale, own_zero), scale, zero, zero.dtype)


REWRITES: dict[str, Rewrite] = {
    "com.microsoft.QLinearAdd": qlinear_binary,
    "com.microsoft.QLinearMul": qlinear_binary,
    "com.microsoft.QLinearSigmoid": qlinear_unary,
    "com.microsoft.QLinearLeakyRelu": qlinear_unary,
    "com.microsoft.QLinearSoftmax": qlinear_unary,
    "com.microsoft.QLinearGlobalAveragePool": qlinear_mean,
    "com.microsoft.QLinearReduceMean": qlinear_mean,
    "com.microsoft.QLinearAveragePool": qlinear_average_pool,
    "com.microsoft.QLinearWhere": qlinear_where,
    "com.microsoft.QLinearConcat": qlinear_concat,
}
