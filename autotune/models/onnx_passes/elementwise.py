"""Elementwise operators in the forms that TVM imports exactly."""

from __future__ import annotations

from functools import reduce

import numpy as np
from onnx import TensorProto, helper

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_CLIP_WITH_INPUTS = 11
# Each product of floats rounds once more.
_LARGEST_EXACT_POWER, _LARGEST_FLOAT_POWER = 8, 4


def power(node: Node) -> Outputs:
    """Pow: the result has the dtype of the base; TVM takes floats of one dtype.

    A small constant power is a product: a call for every element takes many times as long.
    """
    base, exponent = node[0], node[1]
    factors = _factors(base, exponent)
    if factors is not None:
        return [reduce(lambda left, right: left * right, factors)]
    if base.dtype.name == "bfloat16":
        return [base.cast(np.float32).binary("Pow", exponent.cast(np.float32)).cast(base.dtype)]
    if base.dtype.kind in "iu":
        # 2^53 bounds what is exact.
        wide = np.dtype(np.float64)
        return [base.cast(wide).binary("Pow", exponent.cast(wide)).cast(base.dtype)]
    return None if base.dtype == exponent.dtype else [base.binary("Pow", exponent.cast(base.dtype))]


def _factors(base: Tensor, exponent: Tensor) -> list[Tensor] | None:
    """The base as often as a constant exponent says; None where that is no small whole number."""
    constant = exponent.array
    if constant is None or constant.size != 1 or constant.ndim > base.rank:
        return None
    most = _LARGEST_EXACT_POWER if base.dtype.kind in "iu" else _LARGEST_FLOAT_POWER
    times = float(constant.item())
    return [base] * int(times) if 2 <= times <= most and times.is_integer() else None


def modulo(node: Node) -> Outputs:
    """Mod: of floats with fmod=0 the sign is the divisor's."""
    x, y = node[0], node[1]
    if node.attribute("fmod", 0) or x.dtype.kind in "iu":
        return None
    rest = x.graph.add("Mod", x, y, fmod=1)
    is_other_sign = x.graph.add("Xor", rest < 0, y < 0)
    return [_where(is_other_sign & ~rest.equals(0), rest + y, rest)]


def bit_shift(node: Node) -> Outputs:
    """BitShift: a shift by the width or more leaves nothing, where the processor would take it modulo the width."""
    x, y = node[0], node[1]
    bits = x.dtype.itemsize * 8
    if y.array is not None and (y.array >= 0).all() and (y.array < bits).all():
        return None
    is_within = (y < bits) if x.dtype.kind == "u" else (y < bits) & (y >= 0)
    direction = node.attribute("direction")
    shifted = x.graph.add("BitShift", x, _where(is_within, y, y.operand(0)), direction=direction)
    nothing = x.operand(0)
    if x.dtype.kind == "i" and direction == "RIGHT":
        nothing = _where(x < 0, x.operand(-1), nothing)
    return [_where(is_within, shifted, nothing)]


def equal(node: Node) -> Outputs:
    """Equal; LLVM cannot compare TVM's booleans."""
    if node[0].dtype != np.bool_:
        return None
    return [~node[0].binary("Xor", node[1])]


def is_infinite(node: Node) -> Outputs:
    """IsInf of one sign or of both."""
    x = node[0]
    detected = [
        x.equals(sign * np.inf)
        for sign, name in ((1, "detect_positive"), (-1, "detect_negative"))
        if node.attribute(name, 1)
    ]
    if not detected:
        return [x.graph.constant(np.zeros(x.shape, bool))]
    return [reduce(lambda left, right: left | right, detected)]


def clip(node: Node) -> Outputs:
    """Clip; its bounds were attributes before operator set 11."""
    x = node[0]
    if node.opset >= _FIRST_CLIP_WITH_INPUTS:
        if x.dtype.name == "bfloat16":
            return [x.clipped(node.get(1), node.get(2))]
        return None if node.has(1) or node.has(2) else [x]
    low, high = node.attribute("min"), node.attribute("max")
    if low is None and high is None:
        return [x]
    return node.again(x, *(None if bound is None else x.operand(bound) for bound in (low, high)))


def cast_like(node: Node) -> Outputs:
    """CastLike as Cast."""
    return [node[0].cast(node[1].dtype)]


def cast(node: Node) -> Outputs:
    """Cast, whose saturation concerns dtypes of 8 bits only."""
    to = node.attribute("to")
    if to == TensorProto.STRING or node[0].dtype.kind in "OSU":
        raise node.refusal("converts from or to strings", "Export the model without strings")
    return (
        [node[0].cast(helper.tensor_dtype_to_np_dtype(to))]
        if node.attribute("saturate") is not None
        else None
    )


def mean(node: Node) -> Outputs:
    """Mean of several tensors: their sum over their number."""
    total = reduce(lambda left, right: left + right, [tensor for tensor in node.inputs if tensor is not None])
    return [total / len(node.inputs)]


def extremum(node: Node) -> Outputs:
    """Max and Min of one tensor is that tensor."""
    return [node[0]] if len(node.inputs) == 1 else None


def one_hot(node: Node) -> Outputs:
    """OneHot: values of the dtype of `values`, indices counted from the end where negative."""
    depth = node.integers(1, "depth")
    if depth is None:
        raise node.refusal("has no depth", "Export the model again")
    indices, values, count = node[0], node[2], depth[0]
    axis = node.attribute("axis", -1) % (indices.rank + 1)
    node.graph.check_room(count * np.dtype(np.int64).itemsize)
    whole = indices if indices.dtype.kind in "iu" else indices.cast(np.int64)
    whole = whole.cast(np.int64)
    whole = _where(whole < 0, whole + count, whole)
    apart = whole.reshape(*whole.shape[:axis], 1, *whole.shape[axis:])
    places = np.arange(count).reshape([-1] + [1] * (indices.rank - axis))
    off, on = values.index(0, 0), values.index(0, 1)
    if values.dtype != np.bool_:
        return [_where(apart.equals(places), on, off)]
    found = apart.equals(places)
    return [(found & on) | (~found & off)]


def _where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return condition.graph.add("Where", condition, yes, no)


REWRITES: dict[str, Rewrite] = {
    "Pow": power,
    "Mod": modulo,
    "BitShift": bit_shift,
    "Equal": equal,
    "IsInf": is_infinite,
    "Clip": clip,
    "Cast": cast,
    "CastLike": cast_like,
    "Mean": mean,
    "Max": extremum,
    "Min": extremum,
    "Sum": extremum,
    "OneHot": one_hot,
}
