"""Quantized operators as exact arithmetic of floats.

Products of 8-bit integers are summed in float32 where no sum can pass 2^24, else in float64: both are exact, and
both are convolutions and matrix products that are tuned like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import helper

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor
from autotune.models.onnx_passes.windows import windows

_EXACT_IN_FLOAT32 = 1 << 24
_BYTE_SPAN = 255


def quantize_linear(node: Node) -> Outputs:
    """QuantizeLinear for a tensor, an axis or blocks."""
    x, scale, zero = node[0], node[1], node.get(2)
    named = node.attribute("output_dtype", 0)
    dtype = helper.tensor_dtype_to_np_dtype(named) if named and zero is None else np.dtype(np.uint8)
    dtype = dtype if zero is None else zero.dtype
    if node.attribute("precision", 0) not in (0, 1) or dtype.kind not in "iu":
        raise node.refusal(
            "quantizes to a dtype that is not compiled", "Export it with integers of 8 or 16 bits"
        )
    axis, block = node.attribute("axis", 1), node.attribute("block_size", 0)
    scale = _spread(scale, x, axis, block)
    zero = None if zero is None else _spread(zero, x, axis, block)
    return [quantized(x.cast(scale.dtype) if x.dtype.kind in "iu" else x, scale, zero, dtype)]


def dequantize_linear(node: Node) -> Outputs:
    """DequantizeLinear for a tensor, an axis or blocks."""
    x, scale, zero = node[0], node[1], node.get(2)
    axis, block = node.attribute("axis", 1), node.attribute("block_size", 0)
    scale = _spread(scale, x, axis, block)
    zero = None if zero is None else _spread(zero, x, axis, block)
    return [dequantized(x, scale, zero)]


def dynamic_quantize_linear(node: Node) -> Outputs:
    """DynamicQuantizeLinear: the scale and the zero point of all values and 0."""
    return [*_quantized_by_range(node[0])]


def _quantized_by_range(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A tensor in bytes, and the scale and the zero point of its values and 0."""
    axes = range(x.rank)
    zero = x.operand(0)
    low = x.graph.add("Min", x.reduce("ReduceMin", axes, 0), zero)
    high = x.graph.add("Max", x.reduce("ReduceMax", axes, 0), zero)
    scale = (high - low) / _BYTE_SPAN
    safe = x.graph.add("Where", scale.equals(0), scale.operand(1), scale)
    point = (-low / safe).unary("Round").clip(0, _BYTE_SPAN).cast(np.uint8)
    return quantized(x, safe, point, np.dtype(np.uint8)), scale, point


def matmul_integer(node: Node) -> Outputs:
    """MatMulInteger: the product of centred integers, as int32."""
    left, right = _centred(node[0], _rows(node.get(2), node[0])), _centred(node[1], node.get(3))
    return [_exact_product(left, right).cast(np.int32)]


def matmul_integer_to_float(node: Node) -> Outputs:
    """MatMulIntegerToFloat of ONNX Runtime."""
    left, right = _centred(node[0], node.get(4)), _centred(node[1], node.get(5))
    product = _exact_product(left, right).cast(np.float32) * (node[2] * node[3])
    bias = node.get(6)
    return [product if bias is None else product + bias]


def dynamic_quantize_matmul(node: Node) -> Outputs:
    """DynamicQuantizeMatMul of ONNX Runtime: the left operand is quantized by its own range."""
    result = dynamic_product(node[0], node[1], node[2], node.get(3))
    bias = node.get(4)
    return [result if bias is None else result + bias]


def dynamic_product(left: Tensor, right: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """The product of floats, which are quantized by their own range, and quantized weights, in float32."""
    x, own_scale, point = _quantized_by_range(left)
    product = _exact_product(_centred(x, point), _centred(right, zero))
    return product.cast(np.float32) * (own_scale * scale)


def qlinear_matmul(node: Node) -> Outputs:
    """QLinearMatMul: the exact product, scaled and quantized."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (node[place] for place in range(8))
    left, right = _centred(a, _rows(a_zero, a)), _centred(b, b_zero)
    factor = _rows(a_scale, a).cast(np.float32) * b_scale.cast(np.float32) / y_scale.cast(np.float32)
    return [_requantized(_exact_product(left, right), factor, y_zero)]


def qgemm(node: Node) -> Outputs:
    """QGemm of ONNX Runtime, with a quantized or a float result."""
    a, a_scale, a_zero, b, b_scale, b_zero = (node[place] for place in range(6))
    left, right = (
        _centred(a, a_zero),
        _centred(b, b_zero if not node.attribute("transB", 0) else _rows(b_zero, b)),
    )
    left = left.transpose(1, 0) if node.attribute("transA", 0) else left
    right = right.transpose(1, 0) if node.attribute("transB", 0) else right
    product = _exact_product(left, right)
    if node.has(6):
        product = product + node[6].cast(product.dtype)
    factor = a_scale * b_scale * node.attribute("alpha", 1.0)
    if not node.has(8):
        return [product.cast(np.float32) * factor]
    return [_requantized(product, factor / node[7], node[8])]


def conv_integer(node: Node) -> Outputs:
    """ConvInteger: the convolution of centred integers, as int32."""
    return [_exact_convolution(node, node[0], node[1], (node.get(2), node.get(3))).cast(np.int32)]


def qlinear_conv(node: Node) -> Outputs:
    """QLinearConv: the exact convolution, scaled and quantized."""
    x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero = (node[place] for place in range(8))
    # Not to be scaled by the weights, which are whole numbers.
    product = _exact_convolution(node, x, weight, (x_zero, w_zero)).cast(np.int32)
    channels = [1, -1, *[1] * (x.rank - 2)]
    if node.has(8):
        product = product + node[8].reshape(*channels)
    factor = x_scale.reshape(1) * w_scale.reshape(-1) / y_scale.reshape(1)
    return [_requantized(product, factor.reshape(*channels), y_zero)]


def projected(x: Tensor, weight: Tensor, x_zero: Tensor | None, weight_zero: Tensor | None) -> Tensor:
    """The exact product of integers less their zero points, in float32."""
    return _exact_product(_centred(x, x_zero), _centred(weight, weight_zero)).cast(np.float32)


def _spread(each: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point in a shape that broadcasts to x."""
    if each.size == 1:
        return each.reshape()
    axis %= x.rank
    if each.rank == 1 and not block:
        return each.reshape(-1, *[1] * (x.rank - axis - 1))
    count = each.shape[axis]
    wide = each.reshape(*each.shape[: axis + 1], 1, *each.shape[axis + 1 :])
    wide = wide.expand(*each.shape[:axis], count, block, *each.shape[axis + 1 :])
    return wide.reshape(*each.shape[:axis], count * block, *each.shape[axis + 1 :]).slice(
        axis, 0, x.shape[axis]
    )


def dequantized(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """The numbers that integers stand for."""
    wide = x.cast(np.int32)
    centred = wide if zero is None else wide - zero.cast(np.int32)
    return centred.cast(np.float32).binary("Mul", scale.cast(np.float32)).cast(scale.dtype)


def quantized(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: np.dtype) -> Tensor:
    """The integers that stand for numbers: rounded to even, and saturated."""
    bounds = np.iinfo(dtype)
    wide = (x.cast(np.float32) / scale.cast(np.float32)).unary("Round")
    shifted = wide if zero is None else wide + zero.cast(np.float32)
    return shifted.clip(bounds.min, bounds.max).cast(np.int32).cast(dtype)


def _requantized(product: Tensor, factor: Tensor, zero: Tensor) -> Tensor:
    bounds = np.iinfo(zero.dtype)
    scaled = (product.cast(np.float32) * factor.cast(np.float32)).unary("Round") + zero.cast(np.float32)
    return scaled.clip(bounds.min, bounds.max).cast(np.int32).cast(zero.dtype)


def _rows(each: Tensor | None, x: Tensor) -> Tensor:
    """A value for each row of a matrix as a column."""
    if each is None:
        return x.graph.constant(np.zeros(1, x.dtype))
    return each.reshape(*each.shape, 1) if each.rank == 1 and each.size > 1 else each


def _centred(x: Tensor, zero: Tensor | None) -> Tensor:
    """The integers less their zero point, in float32, which is exact."""
    wide = x.cast(np.float32)
    return wide if zero is None else wide - zero.cast(np.float32)


def _exact_product(left: Tensor, right: Tensor) -> Tensor:
    """The matrix product in the narrowest float that is exact for it."""
    if right.array is not None:
        bound = float(np.abs(right.array).sum(axis=-2).max()) * _BYTE_SPAN
    else:
        bound = float(left.shape[-1]) * _BYTE_SPAN * _BYTE_SPAN
    if bound < _EXACT_IN_FLOAT32:
        return left @ right
    return left.cast(np.float64) @ right.cast(np.float64)


def _exact_convolution(node: Node, x: Tensor, weight: Tensor, zeros: Sequence[Tensor | None]) -> Tensor:
    """The convolution of centred integers in the narrowest float that is exact for it."""
    x_zero, w_zero = zeros
    if w_zero is not None and w_zero.size > 1:
        w_zero = w_zero.reshape(-1, *[1] * (weight.rank - 1))
    data, kernel = _centred(x, x_zero), _centred(weight, w_zero)
    axes = tuple(range(1, kernel.rank))
    if kernel.array is not None:
        bound = float(np.abs(kernel.array).sum(axis=axes).max()) * _BYTE_SPAN
    else:
        bound = float(math.prod(kernel.shape[1:])) * _BYTE_SPAN * _BYTE_SPAN
    if bound >= _EXACT_IN_FLOAT32:
        data, kernel = data.cast(np.float64), kernel.cast(np.float64)
    attributes = ("dilations", "group", "pads", "strides", "kernel_shape")
    given = {name: node.attribute(name) for name in attributes if node.attribute(name) is not None}
    found = windows(node, list(weight.shape[2:]))
    given["pads"] = [each.before for each in found] + [each.after for each in found]
    return x.graph.add("Conv", data, kernel, **given)


REWRITES: dict[str, Rewrite] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "MatMulInteger": matmul_integer,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "com.microsoft.QGemm": qgemm,
    "com.microsoft.MatMulIntegerToFloat": matmul_integer_to_float,
    "com.microsoft.DynamicQuantizeMatMul": dynamic_quantize_matmul,
}
