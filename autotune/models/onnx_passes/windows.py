"""Sliding windows along the spatial axes of convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.node import Node
from autotune.models.onnx_passes.tensor import Tensor


@dataclass(frozen=True)
class Window:
    """A window along one axis: `before` and `after` are the elements of padding, which may be negative."""

    length: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    rounds_up: bool = False

    @property
    def extent(self) -> int:
        """The elements from the first to the last tap."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def count(self) -> int:
        """The number of places of the window. Rounded up, the last one starts before the padding behind."""
        free = self.length + self.before + self.after - self.extent
        places = (-(-free // self.stride) if self.rounds_up else free // self.stride) + 1
        if self.rounds_up and (places - 1) * self.stride >= self.length + self.before:
            places -= 1
        return places

    @property
    def padding_behind(self) -> int:
        """The elements behind the axis that its windows reach, with those of the padding that none reaches."""
        reached = (self.count - 1) * self.stride + self.extent - self.length - self.before
        return max(reached, self.after)

    @property
    def indices(self) -> np.ndarray:
        """The element of each tap, [count, kernel], counted in the unpadded axis."""
        starts = np.arange(self.count) * self.stride - self.before
        return starts[:, None] + np.arange(self.kernel)[None, :] * self.dilation


def windows(node: Node, kernel: list[int]) -> list[Window]:
    """The window of a Conv or a pool along each spatial axis, its auto_pad made explicit."""
    lengths = node[0].shape[2:]
    strides = node.attribute("strides") or [1] * len(lengths)
    dilations = node.attribute("dilations") or [1] * len(lengths)
    pads = node.attribute("pads") or [0] * 2 * len(lengths)
    mode = node.attribute("auto_pad", "NOTSET")
    found = []
    for axis, length in enumerate(lengths):
        before, after = pads[axis], pads[axis + len(lengths)]
        if mode == "VALID":
            before = after = 0
        elif mode in ("SAME_UPPER", "SAME_LOWER"):
            extent = (kernel[axis] - 1) * dilations[axis] + 1
            total = max((-(-length // strides[axis]) - 1) * strides[axis] + extent - length, 0)
            small, large = total // 2, total - total // 2
            before, after = (small, large) if mode == "SAME_UPPER" else (large, small)
        rounds_up = bool(node.attribute("ceil_mode", 0)) and mode in ("NOTSET", "VALID")
        found.append(Window(length, kernel[axis], strides[axis], dilations[axis], before, after, rounds_up))
    return found


def unfolded(x: Tensor, axis: int, window: Window, padding: float) -> Tensor:
    """The windows along an axis: the axis becomes two, the places of the window and its taps."""
    indices = window.indices
    before, after = max(-int(indices.min()), 0), max(int(indices.max()) + 1 - window.length, 0)
    pads = [(0, 0)] * x.rank
    pads[axis] = (before, after)
    return x.pad(pads, padding).take(indices + before, axis)
