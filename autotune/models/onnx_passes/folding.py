"""The inverse of unfolding."""

from __future__ import annotations

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor


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


REWRITES: dict[str, Rewrite] = {"Col2Im": fold}
