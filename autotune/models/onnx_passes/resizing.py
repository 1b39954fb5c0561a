"""Resize and Upsample in all modes, axis by axis."""

from __future__ import annotations

import math

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.sampling_axes import Axis, Sampling, Taps, resampled, taps
from autotune.models.onnx_passes.tensor import Tensor

# The operator set in which Resize got its coordinate transformation modes.
_FIRST_WITH_MODES = 11
# As half_pixel, but for axes of which one element is left.
_OF_PYTORCH = "pytorch_half_pixel"


def resize(node: Node) -> Outputs:
    """Resize and Upsample.

    TVM's resize takes the scale from the sizes, which the file's may differ from. It is kept, as the faster one,
    where equal: whole repetitions of pixels.
    """
    x = node[0]
    axes = _axes(node)
    sampling = _sampling(node, axes)
    # Each axis takes tables of places and weights for its elements.
    node.graph.check_room(sum(axis.resized for axis in axes.values()) * 8 * np.dtype(np.int64).itemsize)
    found = {axis: taps(each, sampling) for axis, each in axes.items()}
    if _is_image_repetition(x, found):
        is_floor = (sampling.coordinates, sampling.rounding) == ("asymmetric", "floor")
        return None if is_floor and _is_current(node) else [_plain(x, axes, "nearest", "asymmetric")]
    if _is_plain_linear(x, sampling, axes):
        is_known = _is_current(node) and node.attribute("coordinate_transformation_mode") != _OF_PYTORCH
        return None if is_known else [_plain(x, axes, "linear", sampling.coordinates)]
    result = x if sampling.mode == "nearest" else x.cast(_computed_in(x))
    # The axes that shrink most come first: less is left for the others.
    for axis in sorted(axes, key=lambda each: axes[each].resized / max(axes[each].length, 1)):
        result = resampled(result, axis, found[axis], node.attribute("extrapolation_value", 0.0))
    return [_as(result, x.dtype)]


def _is_current(node: Node) -> bool:
    return node.operator == "Resize" and node.opset >= _FIRST_WITH_MODES and not node.attribute("axes")


def _plain(x: Tensor, axes: dict[int, Axis], mode: str, coordinates: str) -> Tensor:
    """The operator that TVM imports as a resize of images."""
    scales = [axes[axis].scale if axis in axes else 1.0 for axis in range(x.rank)]
    return x.graph.add(
        "Resize",
        x,
        None,
        x.graph.constant(scales, np.float32),
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode="floor" if mode == "nearest" else None,
    )


def _is_plain_linear(x: Tensor, sampling: Sampling, axes: dict[int, Axis]) -> bool:
    return (
        (sampling.mode, x.rank, x.dtype.name) == ("linear", 4, "float32")
        and not sampling.antialiases
        and sampling.coordinates in ("half_pixel", "align_corners", "asymmetric")
        and set(axes) <= {2, 3}
        and all(axis.scale * axis.length == axis.resized for axis in axes.values())
    )


def _is_image_repetition(x: Tensor, found: dict[int, Taps]) -> bool:
    return x.rank == 4 and set(found) <= {2, 3} and all(each.is_repetition for each in found.values())


def _computed_in(x: Tensor) -> np.dtype:
    return x.dtype if x.dtype == np.float64 else np.dtype(np.float32)


def _as(result: Tensor, dtype: np.dtype) -> Tensor:
    if dtype.kind in "iu" and result.dtype != dtype:
        bounds = np.iinfo(dtype)
        return result.clip(float(bounds.min), float(bounds.max)).cast(dtype)
    return result.cast(dtype)


def _sampling(node: Node, axes: dict[int, Axis]) -> Sampling:
    is_old = node.operator == "Upsample" or node.opset < _FIRST_WITH_MODES
    mode = node.attribute("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic", "bilinear"):
        raise node.refusal(f"has mode={mode!r}", "Export it with nearest, linear or cubic")
    coordinates = node.attribute("coordinate_transformation_mode", "half_pixel")
    if coordinates == _OF_PYTORCH and all(axis.resized > 1 for axis in axes.values()):
        coordinates = "half_pixel"
    return Sampling(
        "linear" if mode == "bilinear" else mode,
        "asymmetric" if is_old else coordinates,
        "simple" if is_old else node.attribute("nearest_mode", "round_prefer_floor"),
        node.attribute("cubic_coeff_a", -0.75),
        bool(node.attribute("exclude_outside", 0)),
        bool(node.attribute("antialias", 0)) and mode != "nearest",
    )


def _axes(node: Node) -> dict[int, Axis]:
    """The axes that are resized."""
    x = node[0]
    named = [axis % x.rank for axis in node.attribute("axes", None) or range(x.rank)]
    scales, sizes = _scales(node), node.integers(3, "sizes")
    if scales:
        resized = [math.floor(x.shape[axis] * scale) for axis, scale in zip(named, scales, strict=True)]
    elif sizes:
        resized, scales = _resized(node, named, sizes)
    else:
        raise node.refusal("has neither scales nor sizes", "Export the model again")
    roi = (
        node.array(1, "roi")
        if node.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
        else None
    )
    rois = (
        [(0.0, 1.0)] * len(named)
        if roi is None
        else list(zip(roi[: len(named)], roi[len(named) :], strict=True))
    )
    found = {
        axis: Axis(x.shape[axis], length, scale, (float(start), float(end)))
        for axis, length, scale, (start, end) in zip(named, resized, scales, rois, strict=True)
    }
    return {axis: each for axis, each in found.items() if each.scale != 1 or each.roi != (0.0, 1.0)}


def _scales(node: Node) -> list[float] | None:
    if node.operator == "Upsample" and node.attribute("scales"):
        return [float(scale) for scale in node.attribute("scales")]
    place = 1 if node.operator == "Upsample" or node.opset < _FIRST_WITH_MODES else 2
    array = node.array(place, "scales")
    return None if array is None else [float(scale) for scale in array]


def _resized(node: Node, named: list[int], sizes: list[int]) -> tuple[list[int], list[float]]:
    lengths = [node[0].shape[axis] for axis in named]
    scales = [
        float(np.float32(size) / np.float32(length)) for size, length in zip(sizes, lengths, strict=True)
    ]
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [math.floor(np.float32(scale) * length + 0.5) for length in lengths], [scale] * len(named)


REWRITES: dict[str, Rewrite] = {"Resize": resize, "Upsample": resize}
