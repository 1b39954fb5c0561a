"""Matrix operators of ONNX Runtime, determinants, and caches that are written at computed places."""

from __future__ import annotations

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

# Larger determinants need pivots, which depend on values.
_LARGEST_DETERMINANT = 4


def determinant(node: Node) -> Outputs:
    """Det of small matrices by cofactors."""
    x = node[0]
    if x.shape[-1] > _LARGEST_DETERMINANT:
        raise node.refusal(
            f"is of matrices of {x.shape[-1]} rows", f"Export it for at most {_LARGEST_DETERMINANT} rows"
        )
    return [determinant_of(x)]


def determinant_of(x: Tensor) -> Tensor:
    """The determinants of matrices, by cofactors: for matrices of a few rows."""
    count = x.shape[-1]
    first = x.index(x.rank - 2, 0)
    if count == 1:
        return first.index(first.rank - 1, 0)
    total: Tensor | None = None
    below = x.slice(x.rank - 2, 1, None)
    for column in range(count):
        others = [each for each in range(count) if each != column]
        term = first.index(first.rank - 1, column) * determinant_of(below.take(others, below.rank - 1))
        signed = -term if column % 2 else term
        total = signed if total is None else total + signed
    assert total is not None
    return total


def fused_matmul(node: Node) -> Outputs:
    """FusedMatMul of ONNX Runtime: a scaled product of transposed operands."""
    left, right = node[0], node[1]
    if node.attribute("transBatchA", 0) or node.attribute("transBatchB", 0):
        raise node.refusal("has transBatchA or transBatchB", "Export the model without graph optimizations")
    left = left.swapped() if node.attribute("transA", 0) else left
    right = right.swapped() if node.attribute("transB", 0) else right
    product, alpha = left @ right, node.attribute("alpha", 1.0)
    return [product if alpha == 1 else product * alpha]


def tensor_scatter(node: Node) -> Outputs:
    """TensorScatter: an update written into a cache from a place of each sequence on."""
    cache, update, starts = node[0], node[1], node.get(2)
    axis = node.attribute("axis", -2) % cache.rank
    length, count = cache.shape[axis], update.shape[axis]
    places = node.graph.constant(np.arange(length)[None, :], np.int64)
    first = (
        node.graph.constant(np.zeros(cache.shape[0]), np.int64) if starts is None else starts.cast(np.int64)
    )
    behind = places - first.reshape(-1, 1)
    if node.attribute("mode", "linear") == "circular":
        behind = node.graph.add("Mod", behind, behind.operand(length))
    view = [cache.shape[0], *[1] * (axis - 1), length, *[1] * (cache.rank - axis - 1)]
    is_new = ((behind >= 0) & (behind < count)).reshape(*view)
    indices = behind.clip(0, count - 1).reshape(*view).expand(*cache.shape)
    written = node.graph.add("GatherElements", update, indices, axis=axis)
    return [node.graph.add("Where", is_new, written, cache)]


def deformable_convolution(node: Node) -> Outputs:
    """DeformConv in two dimensions: each tap of each window is read between pixels."""
    x, weight, offset, bias, mask = node[0], node[1], node[2], node.get(3), node.get(4)
    if x.rank != 4:
        raise node.refusal(f"has {x.rank - 2} spatial axes", "Export it with two")
    batch, channels = x.shape[:2]
    rows, columns = offset.shape[2:]
    taps, places = weight.shape[2] * weight.shape[3], rows * columns
    groups, group = node.attribute("offset_group", 1), node.attribute("group", 1)
    shifts = offset.reshape(batch, groups, taps, 2, places)
    y, x_place = (shifts.index(3, axis) + _grid(node, weight, axis, (rows, columns)) for axis in (0, 1))
    sampled = _between_pixels(x.reshape(batch, groups, channels // groups, -1), (y, x_place), x.shape[2:])
    if mask is not None:
        sampled = sampled * mask.reshape(batch, groups, 1, taps * places)
    unfolded = sampled.reshape(batch, group, channels // group * taps, places)
    product = weight.reshape(1, group, -1, channels // group * taps) @ unfolded
    result = product.reshape(batch, -1, rows, columns)
    return [result if bias is None else result + bias.reshape(1, -1, 1, 1)]


def _grid(node: Node, weight: Tensor, axis: int, size: tuple[int, int]) -> Tensor:
    """The row or column of each tap of each window, [1, 1, taps, places]."""
    strides, dilations = node.attribute("strides") or [1, 1], node.attribute("dilations") or [1, 1]
    pads = node.attribute("pads") or [0, 0, 0, 0]
    taps = np.indices(weight.shape[2:])[axis].reshape(-1, 1) * dilations[axis]
    places = np.indices(size)[axis].reshape(1, -1) * strides[axis] - pads[axis]
    return node.graph.constant((taps + places)[None, None], node[0].dtype)


def _between_pixels(x: Tensor, at: tuple[Tensor, Tensor], size: tuple[int, ...]) -> Tensor:
    """x: [batch, groups, channels, pixels], read bilinearly at places [batch, groups, taps, windows]; 0 beyond."""
    total: Tensor | None = None
    y, x_place = at
    flat = (x.shape[0], x.shape[1], 1, y.shape[2] * y.shape[3])
    low_y, low_x = y.unary("Floor"), x_place.unary("Floor")
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        near_y, near_x = low_y + row, low_x + column
        weight = (1 - (y - near_y).unary("Abs")) * (1 - (x_place - near_x).unary("Abs"))
        inside = (near_y >= 0) & (near_y < size[0]) & (near_x >= 0) & (near_x < size[1])
        weight = weight * inside.cast(weight.dtype)
        index = near_y.clip(0, size[0] - 1) * size[1] + near_x.clip(0, size[1] - 1)
        wide = index.cast(np.int64).reshape(*flat).expand(*flat[:2], x.shape[2], flat[3])
        part = x.graph.add("GatherElements", x, wide, axis=3) * weight.reshape(*flat)
        total = part if total is None else total + part
    assert total is not None
    return total


REWRITES: dict[str, Rewrite] = {
    "Det": determinant,
    "TensorScatter": tensor_scatter,
    "DeformConv": deformable_convolution,
    "com.microsoft.FusedMatMul": fused_matmul,
    "com.microsoft.TransposeMatMul": fused_matmul,
}
