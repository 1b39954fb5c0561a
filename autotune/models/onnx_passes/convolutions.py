"""Convolutions with explicit pads, and transposed convolutions as convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor
from autotune.models.onnx_passes.windows import windows

_MAX_RANK = 5


def convolution(node: Node) -> Outputs:
    """Conv with its auto_pad made explicit, negative pads as slices."""
    x, weight = node[0], node[1]
    if not 3 <= x.rank <= _MAX_RANK:
        raise node.refusal(f"has {x.rank - 2} spatial axes", "Export it with one to three")
    found = windows(node, list(weight.shape[2:]))
    pads = [each.before for each in found] + [each.after for each in found]
    if node.attribute("auto_pad", "NOTSET") == "NOTSET" and min(pads) >= 0:
        return None
    cut = x.pad([(0, 0)] * 2 + [(min(each.before, 0), min(each.after, 0)) for each in found])
    return [
        x.graph.add(
            "Conv",
            cut,
            weight,
            node.get(2),
            pads=[max(pad, 0) for pad in pads],
            strides=[each.stride for each in found],
            dilations=[each.dilation for each in found],
            group=node.attribute("group", 1),
        )
    ]


@dataclass(frozen=True)
class _Axis:
    """A spatial axis of a transposed convolution: `before` elements of the full result are cut off, `resized` kept."""

    length: int
    kernel: int
    stride: int
    dilation: int
    before: int
    resized: int

    @property
    def extent(self) -> int:
        return (self.kernel - 1) * self.dilation + 1

    @property
    def taps(self) -> int:
        """The taps of the kernel that reach one phase of the output."""
        return -(-self.extent // self.stride)

    @property
    def first(self) -> int:
        """The first group of `stride` output elements that is needed."""
        return self.before // self.stride

    @property
    def groups(self) -> int:
        """The number of such groups."""
        return -(-(self.before + self.resized) // self.stride) - self.first


def transposed_convolution(node: Node) -> Outputs:
    """ConvTranspose as one convolution with a channel for each phase of the output, and an interleaving.

    full[s i + r] = sum_j x[i - j] w[s j + r]: phase r of the output is a convolution with every s-th tap. No
    product with an inserted zero is computed, and the convolution is tuned as any other.
    """
    x, weight, bias = node[0], node[1], node.get(2)
    if not 3 <= x.rank <= _MAX_RANK:
        raise node.refusal(f"has {x.rank - 2} spatial axes", "Export it with one to three")
    axes, group = _axes(node), node.attribute("group", 1)
    strides = [axis.stride for axis in axes]
    phases = 1
    for stride in strides:
        phases *= stride
    if bias is not None and phases > 1:
        bias = bias.reshape(-1, 1).expand(bias.size, phases).reshape(-1)
    ends = [(axis.taps - 1 - axis.first, axis.first + axis.groups - axis.length) for axis in axes]
    cut = x.pad([(0, 0)] * 2 + [(min(before, 0), min(after, 0)) for before, after in ends])
    pads = [max(before, 0) for before, _ in ends] + [max(after, 0) for _, after in ends]
    y = x.graph.add("Conv", cut, _phase_kernels(weight, axes, group), bias, pads=pads, group=group)
    channels = weight.shape[1] * group
    if phases > 1:
        y = _interleaved(y, channels, axes)
    for place, axis in enumerate(axes):
        start = axis.before - axis.first * axis.stride
        y = y.slice(2 + place, start, start + axis.resized)
    return [y]


def _axes(node: Node) -> list[_Axis]:
    lengths, kernel = node[0].shape[2:], node[1].shape[2:]
    count = len(lengths)
    strides = node.attribute("strides") or [1] * count
    dilations = node.attribute("dilations") or [1] * count
    padding = node.attribute("output_padding") or [0] * count
    pads = node.attribute("pads") or [0] * 2 * count
    wanted = node.attribute("output_shape")
    mode = node.attribute("auto_pad", "NOTSET")
    found = []
    for axis in range(count):
        full = (lengths[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 + padding[axis]
        before, resized = pads[axis], full - pads[axis] - pads[axis + count]
        if wanted:
            resized = wanted[axis + len(wanted) - count]
        elif mode in ("SAME_UPPER", "SAME_LOWER"):
            resized = lengths[axis] * strides[axis]
        if wanted or mode in ("SAME_UPPER", "SAME_LOWER"):
            total = max(full - resized, 0)
            before = total // 2 if mode == "SAME_UPPER" else total - total // 2
        elif mode == "VALID":
            before, resized = 0, full
        found.append(_Axis(lengths[axis], kernel[axis], strides[axis], dilations[axis], before, resized))
    return found


def _phase_kernels(weight: Tensor, axes: list[_Axis], group: int) -> Tensor:
    """The kernels of all phases, [M s1 s2 ..., C / group, j1, j2, ...], from a weight [C, M / group, k1, k2, ...]."""
    channels, per_group = weight.shape[:2]
    rank = len(axes)
    for place, axis in enumerate(axes):
        weight = _dilated(weight, 2 + place, axis.dilation)
    ends = [(0, axis.taps * axis.stride - axis.extent) for axis in axes]
    weight = weight.pad([(0, 0), (0, 0), *ends])
    split = [size for axis in axes for size in (axis.taps, axis.stride)]
    weight = weight.reshape(group, channels // group, per_group, *split)
    for place in range(rank):
        weight = weight.slice(3 + 2 * place, None, None, -1) if axes[place].taps > 1 else weight
    taps, phases = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    weight = weight.transpose(0, 2, *phases, 1, *taps)
    return weight.reshape(-1, channels // group, *(axis.taps for axis in axes))


def _dilated(weight: Tensor, axis: int, dilation: int) -> Tensor:
    """The weight with zeros between the taps of an axis."""
    if dilation == 1 or weight.shape[axis] == 1:
        return weight
    shape = weight.shape
    apart = weight.reshape(*shape[: axis + 1], 1, *shape[axis + 1 :])
    pads = [(0, 0)] * apart.rank
    pads[axis + 1] = (0, dilation - 1)
    joined = apart.pad(pads).reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return joined.slice(axis, 0, joined.shape[axis] - dilation + 1)


def _interleaved(y: Tensor, channels: int, axes: list[_Axis]) -> Tensor:
    """The phases, which are channels, laid side by side along the spatial axes."""
    rank = len(axes)
    groups = [axis.groups for axis in axes]
    split = y.reshape(y.shape[0], channels, *(axis.stride for axis in axes), *groups)
    order = [place for axis in range(rank) for place in (2 + rank + axis, 2 + axis)]
    shape = [axis.groups * axis.stride for axis in axes]
    return split.transpose(0, 1, *order).reshape(y.shape[0], channels, *shape)


REWRITES: dict[str, Rewrite] = {"Conv": convolution, "ConvTranspose": transposed_convolution}
