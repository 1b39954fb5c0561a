"""Pools in all forms: a window along each axis in turn, reduced."""

from __future__ import annotations

import math

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor
from autotune.models.onnx_passes.tensor_types import is_float_dtype
from autotune.models.onnx_passes.windows import Window, unfolded, windows

_MAX_RANK = 5
_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


def average_pool(node: Node) -> Outputs:
    """AveragePool: the sum over the windows over the number of elements that count."""
    if _is_plain(node):
        return None
    found, x = _windows(node), node[0]
    if (pooled := _with_explicit_pads(node, found)) is not None:
        return [pooled]
    total = x.cast(np.float32) if x.dtype.itemsize < 4 else x
    for axis, window in enumerate(found, start=2):
        total = unfolded(total, axis, window, 0).sum([axis + 1], keepdims=0)
    includes_pads = bool(node.attribute("count_include_pad", 0))
    counts = np.ones((), np.float64)
    for window in found:
        counts = counts[..., None] * _counted(window, includes_pads)
    return [(total / counts).cast(x.dtype)]


def max_pool(node: Node) -> Outputs:
    """MaxPool, with the indices of the largest elements where they are asked for."""
    if node.has_output(1):
        return _max_pool_with_indices(node)
    if _is_plain(node):
        return None
    found, result = _windows(node), node[0]
    if (pooled := _with_explicit_pads(node, found)) is not None:
        return [pooled]
    for axis, window in enumerate(found, start=2):
        result = unfolded(result, axis, window, _lowest(result.dtype)).reduce("ReduceMax", [axis + 1], 0)
    return [result]


def lp_pool(node: Node) -> Outputs:
    """LpPool: the p-norm of each window."""
    power = float(node.attribute("p", 2))
    result = _power(node[0].unary("Abs"), power)
    for axis, window in enumerate(_windows(node), start=2):
        result = unfolded(result, axis, window, 0).sum([axis + 1], keepdims=0)
    return [_power(result, 1 / power)]


def global_lp_pool(node: Node) -> Outputs:
    """GlobalLpPool: the p-norm of each channel."""
    power = float(node.attribute("p", 2))
    total = _power(node[0].unary("Abs"), power).sum(range(2, node[0].rank))
    return [_power(total, 1 / power)]


def max_unpool(node: Node) -> Outputs:
    """MaxUnpool: the values at their indices in a tensor of zeros."""
    x, indices = node[0], node[1]
    shape = node.integers(2, "output_shape")
    kernel = node.attribute("kernel_shape")
    strides = node.attribute("strides") or [1] * len(kernel)
    pads = node.attribute("pads") or [0] * 2 * len(kernel)
    own = [
        (length - 1) * stride + size - pads[axis] - pads[axis + len(kernel)]
        for axis, (length, stride, size) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    shape = shape or [*x.shape[:2], *own]
    zeros = x.graph.constant(np.zeros(math.prod(shape)), x.dtype)
    filled = x.graph.add("ScatterElements", zeros, indices.reshape(-1), x.reshape(-1), axis=0)
    return [filled.reshape(*shape)]


def _is_plain(node: Node) -> bool:
    """True for the pools that TVM imports exactly."""
    is_explicit = node.attribute("auto_pad", "NOTSET") == "NOTSET" and not node.attribute("ceil_mode", 0)
    return is_explicit and _has_dense_windows(node) and node[0].rank in (4, 5)


def _has_dense_windows(node: Node) -> bool:
    dtype = node[0].dtype
    is_known = is_float_dtype(dtype) or (node.operator.endswith("MaxPool") and dtype in _BYTES)
    return is_known and set(node.attribute("dilations") or [1]) == {1}


def _with_explicit_pads(node: Node, found: list[Window]) -> Tensor | None:
    """The plain pool that does the same; None where there is none.

    ``MaxPool(auto_pad=SAME_UPPER)`` → ``MaxPool(pads=[0, 0, 1, 1])``. Windows that end beyond the image
    (``ceil_mode``) get padding behind it; one axis becomes the second of two.
    """
    x = node[0]
    if not _has_dense_windows(node) or x.rank > _MAX_RANK:
        return None
    if any(max(window.before, window.padding_behind) >= window.kernel for window in found):
        return None
    is_partial = any(window.padding_behind > window.after for window in found)
    if is_partial and node.attribute("count_include_pad", 0):
        return None
    missing = max(4 - x.rank, 0)
    no_pads = [0] * missing
    pooled = node.graph.add(
        node.operator,
        x.reshape(*x.shape[:2], *[1] * missing, *x.shape[2:]),
        kernel_shape=[1] * missing + [window.kernel for window in found],
        strides=[1] * missing + [window.stride for window in found],
        pads=[*no_pads, *(one.before for one in found), *no_pads, *(one.padding_behind for one in found)],
        **node.given("count_include_pad"),
    )
    return pooled.reshape(*x.shape[:2], *(window.count for window in found))


def _windows(node: Node) -> list[Window]:
    kernel = node.attribute("kernel_shape")
    if node[0].rank > _MAX_RANK or len(kernel) != node[0].rank - 2:
        raise node.refusal(f"has {node[0].rank - 2} spatial axes", "Export it with one to three")
    return windows(node, list(kernel))


def _counted(window: Window, includes_pads: bool) -> np.ndarray:
    """The number of taps of each window that a mean is divided by."""
    before, after = (window.before, window.after) if includes_pads else (0, 0)
    indices = window.indices
    return np.asarray(((indices >= -before) & (indices < window.length + after)).sum(axis=1))


def _lowest(dtype: np.dtype) -> float:
    return -math.inf if dtype.kind not in "iu" else int(np.iinfo(dtype).min)


def _power(x: Tensor, power: float) -> Tensor:
    if power == 1:
        return x
    if power == 2:
        return x * x
    return x.unary("Sqrt") if power == 0.5 else x.binary("Pow", power)


def _max_pool_with_indices(node: Node) -> Outputs:
    found = _windows(node)
    x, count = node[0], len(found)
    taps = x
    for axis, window in enumerate(found):
        taps = unfolded(taps, 2 + 2 * axis, window, _lowest(x.dtype))
    places, inside = range(2, 2 + 2 * count, 2), range(3, 3 + 2 * count, 2)
    shape = [*x.shape[:2], *(window.count for window in found)]
    taps = taps.transpose(0, 1, *places, *inside).reshape(*shape, -1)
    largest = taps.reduce("ReduceMax", [-1], 0)
    picked = x.graph.add("ArgMax", taps, axis=taps.rank - 1, keepdims=1)
    table = x.graph.constant(_element_of_tap(found, node.attribute("storage_order", 0)), np.int64)
    wide = table.reshape(1, 1, *table.shape).expand(*taps.shape)
    element = x.graph.add("GatherElements", wide, picked, axis=taps.rank - 1).reshape(*shape)
    image = math.prod(x.shape[2:])
    offsets = (np.arange(math.prod(x.shape[:2])) * image).reshape(*x.shape[:2], *[1] * count)
    return [largest, element + offsets]


def _element_of_tap(found: list[Window], storage_order: int) -> np.ndarray:
    """The flat index, within the spatial axes, of each tap of each window: [places..., taps]."""
    count = len(found)
    strides = np.ones(count, np.int64)
    order = range(count - 2, -1, -1) if not storage_order else range(1, count)
    for axis in order:
        neighbour = axis + 1 if not storage_order else axis - 1
        strides[axis] = strides[neighbour] * found[neighbour].length
    flat = np.zeros([1] * 2 * count, np.int64)
    for axis, window in enumerate(found):
        shape = [1] * 2 * count
        shape[axis], shape[count + axis] = window.indices.shape
        flat = flat + (np.clip(window.indices, 0, window.length - 1) * strides[axis]).reshape(shape)
    return flat.reshape(*(window.count for window in found), -1)


REWRITES: dict[str, Rewrite] = {
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "LpPool": lp_pool,
    "GlobalLpPool": global_lp_pool,
    "MaxUnpool": max_unpool,
}
