"""Fourier transforms as products with constant matrices, and the inverse of unfolding."""

from __future__ import annotations

import math

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_AXIS_INPUT = 20


def fourier_transform(node: Node) -> Outputs:
    """DFT, its inverse, and the one-sided forms of both."""
    x, is_inverse = node[0], bool(node.attribute("inverse", 0))
    axis = (
        node.attribute("axis", 1) if node.opset < _FIRST_AXIS_INPUT else (node.integers(2, "axis") or [-2])[0]
    )
    axis %= x.rank
    is_onesided = bool(node.attribute("onesided", 0))
    given = node.integers(1, "dft_length")
    bins = x.shape[axis]
    length = given[0] if given else (2 * (bins - 1) if is_onesided and is_inverse else bins)
    order = [each for each in range(x.rank) if each not in (axis, x.rank - 1)]
    # Sums of many terms cancel to values near zero: in float64, as fast transforms lose less than products.
    moved = x.transpose(*order, x.rank - 1, axis).cast(np.float64)
    wanted = length // 2 + 1 if is_onesided and is_inverse else length
    moved = moved.pad([(0, 0)] * (x.rank - 1) + [(0, wanted - bins)])
    if is_onesided and is_inverse:
        parts = [_real_from_onesided(moved, length)]
    else:
        parts = _transformed(moved, length, is_inverse, length // 2 + 1 if is_onesided else length)
    joined = parts[0] if len(parts) == 1 else x.graph.add("Concat", *parts, axis=x.rank - 2)
    places = [*order, x.rank - 1, axis]
    return [joined.transpose(*(places.index(each) for each in range(x.rank))).cast(x.dtype)]


def short_time_fourier_transform(node: Node) -> Outputs:
    """STFT: the transforms of windows that slide along a signal."""
    x, window = node[0], node.get(2)
    if x.rank == 2:
        # Real signals may leave out the axis of their one part.
        x = x.reshape(*x.shape, 1)
    step, given = (node.integers(place, name) for place, name in ((1, "frame_step"), (3, "frame_length")))
    if not step:
        raise node.refusal("has no frame_step", "Export the model again")
    length = given[0] if given else (window.size if window is not None else x.shape[1])
    count = (x.shape[1] - length) // step[0] + 1
    frames = x.take(np.arange(count)[:, None] * step[0] + np.arange(length)[None, :], 1)
    moved = frames.transpose(0, 1, 3, 2)
    if window is not None:
        moved = moved * window
    bins = length // 2 + 1 if node.attribute("onesided", 1) else length
    joined = x.graph.add("Concat", *_transformed(moved, length, False, bins), axis=2)
    return [joined.transpose(0, 1, 3, 2)]


def _transformed(x: Tensor, length: int, is_inverse: bool, bins: int) -> list[Tensor]:
    """The real and the imaginary part, [..., 1, bins], of [..., 1 or 2, length]."""
    cosine, sine = _waves(x, length, bins)
    real = x.slice(x.rank - 2, 0, 1)
    sign = 1 if is_inverse else -1
    if x.shape[-2] == 1:
        parts = [real @ cosine, (real @ sine) * sign]
    else:
        imaginary = x.slice(x.rank - 2, 1, 2)
        parts = [real @ cosine - (imaginary @ sine) * sign, imaginary @ cosine + (real @ sine) * sign]
    return [part / length for part in parts] if is_inverse else parts


def _real_from_onesided(x: Tensor, length: int) -> Tensor:
    """The real signal, [..., 1, length], of the first half of its transform, [..., 2, length / 2 + 1]."""
    bins = x.shape[-1]
    cosine, sine = (wave.transpose(1, 0) for wave in _waves(x, length, bins))
    counted = np.full((bins, 1), 2.0)
    counted[0] = 1
    if length % 2 == 0:
        counted[-1] = 1
    real, imaginary = x.slice(x.rank - 2, 0, 1), x.slice(x.rank - 2, 1, 2)
    factor = x.graph.constant(counted / length, x.dtype)
    return real @ (cosine * factor) - imaginary @ (sine * factor)


def _waves(x: Tensor, length: int, bins: int) -> tuple[Tensor, Tensor]:
    """cos and sin of 2 pi k n / length, [length, bins]."""
    turns = (np.arange(length)[:, None] * np.arange(bins)[None, :]) % length
    angles = 2 * math.pi * turns / length
    return x.graph.constant(np.cos(angles), x.dtype), x.graph.constant(np.sin(angles), x.dtype)


def fold(node: Node) -> Outputs:
    """Col2Im: the sum of overlapping blocks, an axis at a time."""
    x = node[0]
    image, block = node.integers(1, "image_shape") or [], node.integers(2, "block_shape") or []
    rank = len(image)
    strides = node.attribute("strides") or [1] * rank
    dilations = node.attribute("dilations") or [1] * rank
    pads = node.attribute("pads") or [0] * 2 * rank
    counts = [
        (image[axis] + pads[axis] + pads[axis + rank] - dilations[axis] * (block[axis] - 1) - 1)
        // strides[axis]
        + 1
        for axis in range(rank)
    ]
    y = x.reshape(x.shape[0], -1, *block, *counts)
    for axis in range(rank):
        # An axis that is folded is the last one; of the others, the next comes first.
        size = image[axis] + pads[axis] + pads[axis + rank]
        y = _overlapped(y, 2, 2 + rank - axis, (strides[axis], dilations[axis], size))
        y = y.slice(y.rank - 1, pads[axis], pads[axis] + image[axis])
    return [y]


def _overlapped(x: Tensor, taps: int, places: int, form: tuple[int, int, int]) -> Tensor:
    """The axes of taps and places as one, the last: tap t of place p is added at p stride + t dilation."""
    stride, dilation, size = form
    kept = [axis for axis in range(x.rank) if axis not in (taps, places)]
    moved = x.transpose(*kept, taps, places)
    total: Tensor | None = None
    count = moved.shape[-1]
    for tap in range(moved.shape[-2]):
        part = moved.index(moved.rank - 2, tap)
        apart = part.reshape(*part.shape, 1).pad([(0, 0)] * part.rank + [(0, stride - 1)])
        line = apart.reshape(*part.shape[:-1], count * stride).slice(
            part.rank - 1, 0, (count - 1) * stride + 1
        )
        before = tap * dilation
        line = line.pad([(0, 0)] * (part.rank - 1) + [(before, size - before - line.shape[-1])])
        total = line if total is None else total + line
    assert total is not None
    return total


REWRITES: dict[str, Rewrite] = {
    "DFT": fourier_transform,
    "STFT": short_time_fourier_transform,
    "Col2Im": fold,
}
