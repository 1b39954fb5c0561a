"""Reductions, cumulative sums, searches and the softmax family."""

from __future__ import annotations

import math

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_AXES_INPUT = 18
_FIRST_SUM_WITH_AXES_INPUT = 13
_FIRST_ELEMENTWISE_SOFTMAX = 13
_FIRST_TOPK_WITH_INPUT = 10


def reduction(node: Node) -> Outputs:
    """A reduction with its axes as an input; of booleans as of integers; of nothing, its neutral element."""
    x, keepdims = node[0], node.attribute("keepdims", 1)
    first = _FIRST_SUM_WITH_AXES_INPUT if node.operator == "ReduceSum" else _FIRST_AXES_INPUT
    axes = node.attribute("axes") if node.opset < first else node.integers(1, "axes")
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return [_of_one_element(node.operator, x)]
    reduced = axes if axes else range(x.rank)
    if x.size == 0:
        return [_of_nothing(node, [axis % x.rank for axis in reduced])]
    if x.rank == 0:
        return [_of_one_element(node.operator, x)]
    if x.dtype == np.bool_:
        return [x.cast(np.int32).reduce(node.operator, reduced, keepdims).cast(bool)]
    if node.operator == "ReduceLogSumExp":
        return [_log_sum_exp(x, list(reduced), keepdims)]
    if node.operator in ("ReduceMean", "ReduceL2") and x.dtype.kind in "iu":
        wide = x.cast(np.float64)
        return [wide.reduce(node.operator, reduced, keepdims).cast(x.dtype)]
    if node.operator in ("ReduceMax", "ReduceMin") and x.dtype.kind == "f" and node.graph.has_infinity:
        return [_extreme_of_infinities(x, node.operator, list(reduced), keepdims)]
    if node.opset >= first:
        return None
    return node.again(x, node.graph.integers(axes) if axes else None, keepdims=keepdims)


def _of_one_element(operator: str, x: Tensor) -> Tensor:
    """The reduction of each element for itself."""
    match operator:
        case "ReduceL1" | "ReduceL2":
            return x.unary("Abs")
        case "ReduceSumSquare":
            return x * x
        case "ReduceLogSum":
            return x.unary("Log")
    return x


def _of_nothing(node: Node, axes: list[int]) -> Tensor:
    x = node[0]
    neutral = {"ReduceProd": 1.0, "ReduceLogSum": -math.inf, "ReduceLogSumExp": -math.inf}.get(
        node.operator, 0.0
    )
    if node.operator in ("ReduceMax", "ReduceMin"):
        sign = -1 if node.operator == "ReduceMax" else 1
        if x.dtype == np.bool_:
            neutral = float(sign > 0)
        else:
            bounds = np.iinfo(x.dtype) if x.dtype.kind in "iu" else None
            neutral = sign * math.inf if bounds is None else float(bounds.min if sign < 0 else bounds.max)
    kept = [1 if axis in axes else length for axis, length in enumerate(x.shape)]
    if not node.attribute("keepdims", 1):
        kept = [length for axis, length in enumerate(x.shape) if axis not in axes]
    return x.graph.constant(np.full(kept, neutral), x.dtype)


def _extreme_of_infinities(x: Tensor, operator: str, axes: list[int], keepdims: int) -> Tensor:
    """The largest or smallest elements; TVM begins with the largest finite number, which is no limit to infinities."""
    limit = x.operand(-math.inf if operator == "ReduceMax" else math.inf)
    is_limit = x.equals(limit).cast(np.int32).reduce("ReduceMin", axes, keepdims) > 0
    return x.graph.add("Where", is_limit, limit, x.reduce(operator, axes, keepdims))


def _log_sum_exp(x: Tensor, axes: list[int], keepdims: int) -> Tensor:
    """The logarithm of a sum of exponentials, of which the largest is 1."""
    largest = x.reduce("ReduceMax", axes)
    is_finite = largest.unary("Abs") < math.inf
    shift = x.graph.add("Where", is_finite, largest, x.operand(0))
    total = (x - shift).unary("Exp").sum(axes).unary("Log") + shift
    if keepdims:
        return total
    dropped = {axis % x.rank for axis in axes}
    return total.reshape(*(length for axis, length in enumerate(x.shape) if axis not in dropped))


def softmax(node: Node) -> Outputs:
    """Softmax, LogSoftmax and Hardmax; before operator set 13, over all axes from `axis` on."""
    x = node[0]
    if node.opset >= _FIRST_ELEMENTWISE_SOFTMAX:
        return None
    axis = node.attribute("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    flat = x.reshape(math.prod(x.shape[:axis]), -1)
    found = node.again(flat, axis=-1)[0].reshape(*x.shape)
    node.graph.upgraded.update(each.output[0] for each in node.graph.nodes[-3:])
    return [found]


def extreme_place(node: Node) -> Outputs:
    """ArgMax and ArgMin; the last of equal elements is the first in reverse."""
    x, axis = node[0], node.attribute("axis", 0) % max(node[0].rank, 1)
    if x.dtype == np.bool_:
        x = x.cast(np.int32)
    keepdims = node.attribute("keepdims", 1)
    if not node.attribute("select_last_index", 0):
        if x is node[0] and not node.graph.has_infinity:
            return None
        return [_first_place(node.operator, x, axis, keepdims)]
    reverse = x.slice(axis, None, None, -1) if x.shape[axis] > 1 else x
    place = _first_place(node.operator, reverse, axis, keepdims)
    return [x.shape[axis] - 1 - place]


def _first_place(operator: str, x: Tensor, axis: int, keepdims: int) -> Tensor:
    """The place of an extreme element; TVM finds none, -1, where all are infinite."""
    place = x.graph.add(operator, x, axis=axis, keepdims=keepdims)
    return x.graph.add("Max", place, place.operand(0)) if x.graph.has_infinity else place


def top_k(node: Node) -> Outputs:
    """TopK of a constant number; the order is that of `sorted` also where it may be any."""
    x, axis = node[0], node.attribute("axis", -1) % node[0].rank
    if node.opset < _FIRST_TOPK_WITH_INPUT:
        count = node.attribute("k")
    else:
        array = node.array(1, "k")
        count = 0 if array is None else int(array.reshape(-1)[0])
    if x.dtype.name == "bfloat16":
        values, places = x.graph.add_many(
            "TopK",
            [x.cast(np.float32), node.graph.integers([count])],
            2,
            axis=axis,
            largest=node.attribute("largest", 1),
        )
        return [values.cast(x.dtype), places]
    if node.opset >= _FIRST_TOPK_WITH_INPUT and node.attribute("sorted", 1):
        return None
    largest = node.attribute("largest", 1)
    inputs = [x, node.graph.integers([count])]
    return node.graph.add_many("TopK", inputs, 2, axis=axis, largest=largest, sorted=1)


REWRITES: dict[str, Rewrite] = {
    **dict.fromkeys(
        (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceSumSquare",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
        ),
        reduction,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    "ArgMax": extreme_place,
    "ArgMin": extreme_place,
    "TopK": top_k,
}
