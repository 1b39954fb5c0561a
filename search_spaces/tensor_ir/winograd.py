"""Winograd's convolution F(4×4, 3×3) as three tensor programs: tiles in, products, tiles out (imports TVM).

Volumes are transformed plane by plane, and the products of the kernel's planes are added before tiles are made results.
Groups of channels have products of their own.

A tile of 4 × 4 results of a 3 × 3 convolution takes 36 products a channel instead of 144. With the points 0, ±1/√2, ±√2
and infinity its rounding error is about twice that of the direct sum; with 0, ±1, ±2 it would be five times.
Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import te, tirx

#: Results along one axis of a tile, and the inputs that they need.
TILE, WINDOW = 4, 6
#: The rule that blocks of the tile transforms are marked with, for `default_schedule`.
SCHEDULE_RULE = "autotune.tile_transform"

_KERNEL = 3
# Axes of products that are matrices, one for each place.
_MATRICES = 3
_ROOT = float(np.sqrt(2.0))
_POINTS = (0.0, 1 / _ROOT, -1 / _ROOT, _ROOT, -_ROOT)

Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Depth:
    """The depth axis of a convolution: planes that it takes and makes of each of a batch, stride, and planes of zeros
    before the first one."""

    batch: int
    taken: int
    made: int
    stride: int
    before: int


def transformed_weights(weights: Floats) -> Floats:
    """Weights (3, 3, C, K) as 36 matrices (36, C, K), one for each place of a tile; computed in float64."""
    matrix = _weight_matrix()
    products = np.einsum("ai,ijck,bj->abck", matrix, weights.astype(np.float64), matrix)
    return np.asarray(products.reshape(WINDOW * WINDOW, *weights.shape[2:]), np.float32)


def grouped_weights(weights: Floats, groups: int) -> Floats:
    """Weights ([planes,] 3, 3, C / groups, K) as matrices (36, planes, groups, C / groups, K / groups)."""
    *_, height, width, taken, made = weights.shape
    planes = [transformed_weights(one) for one in weights.reshape(-1, height, width, taken, made)]
    by_group = np.stack(planes, 1).reshape(WINDOW * WINDOW, -1, taken, groups, made // groups)
    return np.ascontiguousarray(by_group.transpose(0, 1, 3, 2, 4))


def input_tiles(data: te.Tensor, before: tuple[int, int], tiles: tuple[int, int]) -> te.Tensor:
    """Transformed windows (36, N·rows·columns, C) of data (N, H, W, C).

    Those of volumes (N, D, H, W, C) are (36, N·D·rows·columns, C).

    before: rows and columns of zeros above and left of the data; tiles: rows and columns of tiles.
    """
    *outer, height, width, channels = (int(size) for size in data.shape)
    batch = prod(outer)
    rows, columns = tiles
    top, left = before

    def padded(n: Any, y: Any, x: Any, c: Any) -> Any:
        inside = [y >= top, y < top + height, x >= left, x < left + width]
        return tirx.if_then_else(
            tirx.all(*inside), data[*_places(n, outer), y - top, x - left, c], tirx.const(0.0, data.dtype)
        )

    whole = te.compute((batch, TILE * rows + 2, TILE * columns + 2, channels), padded, "padded")

    def down(a: Any, j: Any, tile: Any, c: Any) -> Any:
        n, ty, tx = tile // (rows * columns), tile // columns % rows, tile % columns
        return _forward(a, lambda i: whole[n, TILE * ty + i, TILE * tx + j, c])

    count = batch * rows * columns
    once = te.compute((WINDOW, WINDOW, count, channels), down, "down")

    def across(place: Any, tile: Any, c: Any) -> Any:
        return _forward(place % WINDOW, lambda j: once[place // WINDOW, j, tile, c])

    return te.compute((WINDOW * WINDOW, count, channels), across, "tiles", attrs=_MARK)


def tile_products(tiles: te.Tensor, weights: te.Tensor, depth: Depth) -> te.Tensor:
    """Products (36, N·planes, groups, tiles, K / groups) of windows (36, N·D·tiles, C) by `grouped_weights`.

    They are added over the kernel's planes.
    """
    places, taps, groups, taken, made = (int(size) for size in weights.shape)
    count = int(tiles.shape[1]) // (depth.batch * depth.taken)
    tap, channel = te.reduce_axis((0, taps), "tap"), te.reduce_axis((0, taken), "channel")

    def product(place: Any, plane: Any, group: Any, tile: Any, k: Any) -> Any:
        n, z = _places(plane, [depth.batch, depth.made])
        at = z * depth.stride + tap - depth.before
        window = tiles[place, (n * depth.taken + at) * count + tile, group * taken + channel]
        if taps > 1 or depth.before or depth.stride * (depth.made - 1) >= depth.taken:
            inside = tirx.all(at >= 0, at < depth.taken)
            window = tirx.if_then_else(inside, window, tirx.const(0.0, tiles.dtype))
        return te.sum(window * weights[place, tap, group, channel, k], axis=[tap, channel])

    shape = (places, depth.batch * depth.made, groups, count, made)
    return te.compute(shape, product, "products")


def output_tiles(products: te.Tensor, shape: tuple[int, ...]) -> te.Tensor:
    """Results (N, H, W, K) or (N, D, H, W, K) from products (36, N·rows·columns, K) or those of `tile_products`."""
    *outer, height, width, channels = shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    count = prod(outer) * rows * columns

    def at(tile: Any, k: Any) -> list[Any]:
        if len(products.shape) == _MATRICES:
            return [tile, k]
        group, column = _places(k, [int(products.shape[2]), int(products.shape[4])])
        return [tile // (rows * columns), group, tile % (rows * columns), column]

    def down(u: Any, b: Any, tile: Any, k: Any) -> Any:
        return _backward(u, lambda a: products[a * WINDOW + b, *at(tile, k)])

    once = te.compute((TILE, WINDOW, count, channels), down, "down")

    def across(tile: Any, u: Any, v: Any, k: Any) -> Any:
        return _backward(v, lambda b: once[u, b, tile, k])

    twice = te.compute((count, TILE, TILE, channels), across, "across", attrs=_MARK)

    def result(*axes: Any) -> Any:
        *places, y, x, k = axes
        n = places[0] if len(places) == 1 else places[0] * outer[1] + places[1]
        return twice[(n * rows + y // TILE) * columns + x // TILE, y % TILE, x % TILE, k]

    return te.compute(shape, result, "results")


_MARK = {"schedule_rule": SCHEDULE_RULE}


def _places(number: Any, extents: list[int]) -> list[Any]:
    """The indices of an element along one or two axes, from its number."""
    if len(extents) == 1 or extents[0] == 1:
        return [*[0] * (len(extents) - 1), number]
    return [number // extents[1], number % extents[1]]


def _forward(index: Any, read: Callable[[int], Any]) -> Any:
    """Entry `index` of a transformed window: Bᵀ times the six values that are read."""
    d = [read(i) for i in range(WINDOW)]
    # Points ±p give even ± odd parts, which the compiler computes once for both.
    even, odd = d[4] - _c(d, 2.0) * d[2], d[3] - _c(d, 2.0) * d[1]
    even_2, odd_2 = d[4] - _c(d, 0.5) * d[2], d[3] - _c(d, 0.5) * d[1]
    entries = [
        d[0] + d[4] - _c(d, 2.5) * d[2],
        even + _c(d, 1 / _ROOT) * odd,
        even - _c(d, 1 / _ROOT) * odd,
        even_2 + _c(d, _ROOT) * odd_2,
        even_2 - _c(d, _ROOT) * odd_2,
        d[1] + d[5] - _c(d, 2.5) * d[3],
    ]
    return _selected(index, entries)


def _backward(index: Any, read: Callable[[int], Any]) -> Any:
    """Entry `index` of four results: Aᵀ times the six products that are read."""
    m = [read(a) for a in range(WINDOW)]
    near, near_odd = m[1] + m[2], m[1] - m[2]
    far, far_odd = m[3] + m[4], m[3] - m[4]
    entries = [
        m[0] + near + far,
        _c(m, 1 / _ROOT) * near_odd + _c(m, _ROOT) * far_odd,
        _c(m, 0.5) * near + _c(m, 2.0) * far,
        _c(m, _ROOT / 4) * near_odd + _c(m, 2 * _ROOT) * far_odd + m[5],
    ]
    return _selected(index, entries)


def _selected(index: Any, entries: list[Any]) -> Any:
    """The entry of a constant index; loops over it are unrolled, and the choices vanish."""
    chosen = entries[-1]
    for place in reversed(range(len(entries) - 1)):
        chosen = tirx.Select(index == place, entries[place], chosen)
    return chosen


def _c(values: list[Any], value: float) -> Any:
    return tirx.const(value, values[0].dtype if hasattr(values[0], "dtype") else "float32")


def _weight_matrix() -> Matrix:
    """G (6, 3): the kernel's polynomial at each point, over the product of the point's distances from the others."""
    rows = []
    for point in _POINTS:
        scale = np.prod([point - other for other in _POINTS if other != point])
        rows.append([point**power / scale for power in range(_KERNEL)])
    return np.array([*rows, [0.0, 0.0, 1.0]])
