"""Activation functions as arithmetic, where TVM's importer lacks them or takes only float32."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

# The quotient is 1 in float64 from here on.
_LARGEST_EXPONENT = 20.0
# The divisors of the series of artanh, from the last: the next term is below float32's last digit.
_ODD = (15, 13, 11, 9, 7, 5, 3, 1)


def celu(node: Node) -> Outputs:
    """Celu: x above zero, alpha (exp(x / alpha) - 1) below."""
    x, alpha = node[0], node.attribute("alpha", 1.0)
    return [_where(x > 0, x, _minus_one(x / alpha) * alpha)]


def elu(node: Node) -> Outputs:
    """Elu: x above zero, alpha (exp(x) - 1) below. TVM's importer takes float32 only."""
    x = node[0]
    if x.dtype == np.float32:
        return None
    return [_where(x > 0, x, _minus_one(x) * node.attribute("alpha", 1.0))]


def selu(node: Node) -> Outputs:
    """Selu: a scaled Elu."""
    x = node[0]
    alpha = node.attribute("alpha", 1.67326319217681884765625)
    gamma = node.attribute("gamma", 1.05070102214813232421875)
    if x.dtype == np.float32:
        return None
    return [_where(x > 0, x, _minus_one(x) * alpha) * gamma]


def thresholded_relu(node: Node) -> Outputs:
    """ThresholdedRelu: x above alpha, 0 elsewhere; TVM's importer multiplies, which makes NaN of -inf."""
    x = node[0]
    return [_where(x > node.attribute("alpha", 1.0), x, x.operand(0))]


def shrink(node: Node) -> Outputs:
    """Shrink: x moved towards zero by bias, 0 within lambd of zero."""
    x, bias, edge = node[0], node.attribute("bias", 0.0), node.attribute("lambd", 0.5)
    return [_where(x < -edge, x + bias, _where(x > edge, x - bias, x.operand(0)))]


def mish(node: Node) -> Outputs:
    """Mish: x tanh(log(1 + e)) with e = exp(x), which is x (e^2 + 2 e) / (e^2 + 2 e + 2)."""
    x = node[0]
    wide = x.cast(np.float32) if x.dtype.itemsize < 4 else x
    power = x.graph.add("Min", wide, wide.operand(_LARGEST_EXPONENT)).unary("Exp")
    product = power * (power + 2)
    return [(wide * (product / (product + 2))).cast(x.dtype)]


def softplus(node: Node) -> Outputs:
    """Softplus: log(1 + exp(x)), exact to the last digits where it is small."""
    return [softplus_of(node[0])]


def softplus_of(x: Tensor) -> Tensor:
    """Softplus of a tensor: max(x, 0) + 2 artanh(s) with s = u / (2 + u) and u = exp(-|x|); s is at most 1/3.

    log(1 + u) itself loses the digits of a small u: exp(-10) to a thousandth, in float32.
    """
    if x.dtype == np.float64:
        return x.unary("Softplus")
    wide = x.cast(np.float32)
    power = (-wide.unary("Abs")).unary("Exp")
    quotient = power / (power + 2)
    square = quotient * quotient
    series = reduce(lambda total, odd: total * square + 2 / odd, _ODD[1:], square.operand(2 / _ODD[0]))
    return (wide.unary("Relu") + quotient * series).cast(x.dtype)


def swish(node: Node) -> Outputs:
    """Swish and QuickGelu: x sigmoid(alpha x)."""
    x = node[0]
    alpha = node.attribute("alpha", 1.0 if node.operator == "Swish" else 1.702)
    return [x * (x if alpha == 1 else x * alpha).unary("Sigmoid")]


def gelu(node: Node) -> Outputs:
    """Gelu, exact or by tanh."""
    if node.proto.domain == "" and node[0].dtype == np.float32:
        return None
    if node.attribute("approximate", "none") == "tanh":
        return [_gelu_by_tanh(node[0])]
    return [gelu_of(node[0])]


def bias_gelu(node: Node) -> Outputs:
    """BiasGelu of ONNX Runtime: the exact Gelu of a sum."""
    return [gelu_of(node[0] + node[1])]


def fast_gelu(node: Node) -> Outputs:
    """FastGelu of ONNX Runtime: Gelu by tanh, of a sum where there is a bias."""
    bias = node.get(1)
    return [_gelu_by_tanh(node[0] if bias is None else node[0] + bias)]


def prelu(node: Node) -> Outputs:
    """PRelu. TVM's importer takes float32 only."""
    x, slope = node[0], node[1]
    if x.dtype == np.float32:
        return None
    return [_where(x < 0, x * slope, x)]


def hard_swish(node: Node) -> Outputs:
    """HardSwish: x clip(x / 6 + 1 / 2, 0, 1)."""
    x = node[0]
    return [x * (x * (1 / 6) + 0.5).clip(0, 1)]


def hard_sigmoid(node: Node) -> Outputs:
    """HardSigmoid: clip(alpha x + beta, 0, 1)."""
    x = node[0]
    if x.dtype == np.float32:
        return None
    return [(x * node.attribute("alpha", 0.2) + node.attribute("beta", 0.5)).clip(0, 1)]


def _minus_one(x: Tensor) -> Tensor:
    return x.unary("Exp") - 1


def _where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return condition.graph.add("Where", condition, yes, no)


def gelu_of(x: Tensor) -> Tensor:
    """The exact Gelu of a tensor."""
    return x * 0.5 * ((x * math.sqrt(0.5)).unary("Erf") + 1)


def _gelu_by_tanh(x: Tensor) -> Tensor:
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * 0.5 * (inner.unary("Tanh") + 1)


REWRITES: dict[str, Rewrite] = {
    "Celu": celu,
    "Elu": elu,
    "Selu": selu,
    "ThresholdedRelu": thresholded_relu,
    "Shrink": shrink,
    "Mish": mish,
    "Softplus": softplus,
    "Swish": swish,
    "Gelu": gelu,
    "PRelu": prelu,
    "HardSwish": hard_swish,
    "HardSigmoid": hard_sigmoid,
    "com.microsoft.QuickGelu": swish,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.BiasGelu": bias_gelu,
    "com.microsoft.FastGelu": fast_gelu,
}
