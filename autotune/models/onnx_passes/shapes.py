"""Operators that arrange elements: static reshapes, slices, pads and repetitions."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_SLICE_WITH_INPUTS = 10
_FIRST_PAD_WITH_INPUTS = 11
_FIRST_AXES_INPUT = 13
_FIRST_SPLIT_WITH_COUNT = 18


def shape(node: Node) -> Outputs:
    """Shape, of all or of some axes: a constant."""
    sizes = node[0].shape[slice(node.attribute("start", 0), node.attribute("end"))]
    return [node.graph.integers(sizes)]


def size(node: Node) -> Outputs:
    """Size: a constant."""
    return [node.graph.constant(node[0].size, np.int64)]


def constant_of_shape(node: Node) -> Outputs:
    """ConstantOfShape of a constant shape: a constant."""
    sizes = node.integers(0, "shape")
    value = node.attribute("value")
    array = np.zeros(1, np.float32) if value is None else _array(value)
    node.graph.check_room(math.prod(sizes or []) * array.itemsize)
    return [node.graph.constant(np.broadcast_to(array.reshape(()), sizes or []))]


def reshape(node: Node) -> Outputs:
    """Reshape to a constant shape, in which 0 may stand for 0."""
    if not node.attribute("allowzero", 0):
        return None
    return [node[0].reshape(*(node.integers(1, "shape") or []))]


def squeeze(node: Node) -> Outputs:
    """Squeeze with its axes as an input."""
    if node.opset >= _FIRST_AXES_INPUT:
        return None
    axes = node.attribute("axes")
    return node.again(node[0], None if axes is None else node.graph.integers(axes))


def unsqueeze(node: Node) -> Outputs:
    """Unsqueeze with its axes as an input."""
    if node.opset >= _FIRST_AXES_INPUT:
        return None
    return node.again(node[0], node.graph.integers(node.attribute("axes")))


def cut(node: Node) -> Outputs:
    """Slice by constant bounds, an axis at a time."""
    x = node[0]
    if node.opset >= _FIRST_SLICE_WITH_INPUTS:
        starts, ends = node.integers(1, "starts") or [], node.integers(2, "ends") or []
        axes, steps = node.integers(3, "axes"), node.integers(4, "steps")
        if x.array is None and all(step > 0 for step in steps or [1]):
            return None
    else:
        starts, ends, axes, steps = (
            node.attribute("starts"),
            node.attribute("ends"),
            node.attribute("axes"),
            None,
        )
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        step = steps[place] if steps else 1
        x = x.slice(axes[place] if axes is not None else place, start, end, step)
    return [x]


def split(node: Node) -> Outputs:
    """Split with the sizes of its parts as an input; parts of no elements are constants."""
    x, axis, count = node[0], node.attribute("axis", 0), len(node.proto.output)
    sizes = node.attribute("split") if node.opset < _FIRST_AXES_INPUT else node.integers(1, "split")
    length = x.shape[axis]
    if not sizes:
        part = -(-length // count)
        sizes = [min(part, length - part * place) for place in range(count)]
        if len(set(sizes)) == 1 and node.opset < _FIRST_SPLIT_WITH_COUNT:
            return node.again(x, axis=axis, num_outputs=count)
    if node.opset >= _FIRST_AXES_INPUT and min(sizes) > 0 and len(set(sizes)) == 1:
        return None
    if min(sizes) > 0:
        return node.again(x, node.graph.integers(sizes), axis=axis)
    starts = np.cumsum([0, *sizes])
    return [
        x.slice(axis, int(start), int(start) + each) if each else _empty(x, axis)
        for start, each in zip(starts, sizes, strict=False)
    ]


def concat(node: Node) -> Outputs:
    """Concat, without the parts that have no elements."""
    axis = node.attribute("axis", 1)
    filled = [tensor for tensor in node.inputs if tensor is not None and tensor.size > 0]
    if len(filled) == 1:
        return [filled[0]]
    if len(filled) == len(node.inputs) or not filled:
        return None if node.attribute("axis") is not None else node.again(*node.inputs, axis=axis)
    return [node.graph.add("Concat", *filled, axis=axis)]


def pad(node: Node) -> Outputs:
    """Pad in all modes; negative pads cut off."""
    x, mode = node[0], node.attribute("mode", "constant")
    pads, value = _pads(node)
    if mode != "constant":
        if (
            node.opset >= _FIRST_PAD_WITH_INPUTS
            and mode != "wrap"
            and not node.has(3)
            and _is_within(x, pads)
        ):
            return None
        for axis, (before, after) in enumerate(pads):
            if before or after:
                x = x.take(_padded_indices(x.shape[axis], before, after, mode), axis)
        return [x]
    if value is not None and value.array is None:
        inside = node.graph.constant(np.ones(x.shape, bool).astype(np.int32))
        return [node.graph.add("Where", inside.pad(pads).cast(bool), x.pad(pads), value)]
    if node.opset >= _FIRST_PAD_WITH_INPUTS and min(min(each) for each in pads) >= 0 and x.dtype != np.bool_:
        return None
    filling = 0 if value is None or value.array is None else value.array.item()
    if x.dtype == np.bool_:
        return [x.cast(np.int32).pad(pads, filling).cast(bool)]
    return [x.pad(pads, filling)]


def _pads(node: Node) -> tuple[list[tuple[int, int]], Tensor | None]:
    """The pads of each axis, and the value of the constant mode."""
    x = node[0]
    is_old = node.opset < _FIRST_PAD_WITH_INPUTS
    flat = node.attribute("pads") if is_old else node.integers(1, "pads") or []
    value = node.graph.constant(node.attribute("value", 0.0), x.dtype) if is_old else node.get(2)
    named = node.integers(3, "axes")
    axes = range(x.rank) if named is None else [axis % x.rank for axis in named]
    pads = [(0, 0)] * x.rank
    for place, axis in enumerate(axes):
        pads[axis] = (flat[place], flat[place + len(axes)])
    return pads, value


def _is_within(x: Tensor, pads: list[tuple[int, int]]) -> bool:
    return all(0 <= each < length for pair, length in zip(pads, x.shape, strict=True) for each in pair)


def _padded_indices(length: int, before: int, after: int, mode: str) -> np.ndarray:
    kept = np.arange(length)[max(-before, 0) : length + min(after, 0)]
    return np.pad(kept, (max(before, 0), max(after, 0)), mode=mode)  # type: ignore[call-overload,no-any-return]


def tile(node: Node) -> Outputs:
    """Tile: each axis is given one of length 1 in front, which is broadcast."""
    x = node[0]
    for axis, count in enumerate(node.integers(1, "repeats") or []):
        if count != 1:
            apart = x.reshape(*x.shape[:axis], 1, *x.shape[axis:])
            wide = apart.expand(*x.shape[:axis], count, *x.shape[axis:])
            x = wide.reshape(*x.shape[:axis], count * x.shape[axis], *x.shape[axis + 1 :])
    return [x]


def triangle(node: Node) -> Outputs:
    """Trilu, with a diagonal that may be computed."""
    x = node[0]
    rows, columns = x.shape[-2:]
    node.graph.check_room(rows * columns * np.dtype(np.int64).itemsize)
    distance = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    diagonal = node.get(1) or node.graph.constant(0, np.int64)
    apart = node.graph.constant(distance, np.int64)
    kept = apart >= diagonal if node.attribute("upper", 1) else apart <= diagonal
    if x.dtype == np.bool_:
        return [x & kept]
    return [node.graph.add("Where", kept, x, x.operand(0))]


def eye_like(node: Node) -> Outputs:
    """EyeLike: a constant."""
    x, dtype = node[0], node.attribute("dtype")
    wanted = x.dtype if dtype is None else helper.tensor_dtype_to_np_dtype(dtype)
    node.graph.check_room(x.size * np.dtype(np.float64).itemsize)
    return [node.graph.constant(np.eye(x.shape[0], x.shape[1], k=node.attribute("k", 0)), wanted)]


def depth_to_space(node: Node) -> Outputs:
    """DepthToSpace as reshapes and a transposition."""
    x, block = node[0], node.attribute("blocksize")
    batch, channels, height, width = x.shape
    left = channels // block**2
    if node.attribute("mode", "DCR") == "DCR":
        apart = x.reshape(batch, block, block, left, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        apart = x.reshape(batch, left, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return [apart.reshape(batch, left, height * block, width * block)]


def space_to_depth(node: Node) -> Outputs:
    """SpaceToDepth as reshapes and a transposition."""
    x, block = node[0], node.attribute("blocksize")
    batch, channels, height, width = x.shape
    apart = x.reshape(batch, channels, height // block, block, width // block, block)
    is_depth_first = node.attribute("mode", "DCR") == "DCR"
    ordered = apart.transpose(0, 3, 5, 1, 2, 4) if is_depth_first else apart.transpose(0, 1, 3, 5, 2, 4)
    return [ordered.reshape(batch, channels * block**2, height // block, width // block)]


def center_crop_pad(node: Node) -> Outputs:
    """CenterCropPad to a constant shape."""
    x = node[0]
    axes = node.attribute("axes") or list(range(x.rank))
    for axis, wanted in zip(axes, node.integers(1, "shape") or [], strict=True):
        length = x.shape[axis]
        if wanted <= length:
            start = (length - wanted) // 2
            x = x.slice(axis, start, start + wanted)
        else:
            pads = [(0, 0)] * x.rank
            pads[axis] = ((wanted - length) // 2, wanted - length - (wanted - length) // 2)
            x = x.pad(pads)
    return [x]


def reverse_sequence(node: Node) -> Outputs:
    """ReverseSequence: the first elements of each sequence in reverse, the others as they are."""
    x, lengths = node[0], node[1]
    time, batch = node.attribute("time_axis", 0), node.attribute("batch_axis", 1)
    steps = np.arange(x.shape[time])[:, None]
    places = node.graph.constant(steps, np.int64)
    ends = lengths.reshape(1, -1)
    picked = node.graph.add("Where", places < ends, ends - 1 - places, places)
    if time > batch:
        picked = picked.transpose(1, 0)
    view = [length if axis in (time, batch) else 1 for axis, length in enumerate(x.shape)]
    indices = picked.reshape(*view).expand(*x.shape)
    return [node.graph.add("GatherElements", x, indices, axis=time)]


def _array(value: object) -> np.ndarray:
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(value))


def _empty(x: Tensor, axis: int) -> Tensor:
    sizes = list(x.shape)
    sizes[axis] = 0
    return x.graph.constant(np.zeros(sizes, x.dtype))


REWRITES: dict[str, Rewrite] = {
    "Shape": shape,
    "Size": size,
    "ConstantOfShape": constant_of_shape,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": cut,
    "Split": split,
    "Concat": concat,
    "Pad": pad,
    "Tile": tile,
    "Trilu": triangle,
    "EyeLike": eye_like,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "CenterCropPad": center_crop_pad,
    "ReverseSequence": reverse_sequence,
}
