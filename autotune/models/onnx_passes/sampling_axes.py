"""Resampling of one axis by constant taps: each output element is a weighted sum of input elements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.tensor import Tensor


@dataclass(frozen=True)
class Sampling:
    """The mapping of Resize from output coordinates to input coordinates.

    mode: nearest, linear or cubic. coordinates: the coordinate transformation mode of ONNX.
    rounding: that of nearest; `simple`, that of operator sets before 11, takes the ceiling when shrinking.
    """

    mode: str
    coordinates: str
    rounding: str
    cubic_coefficient: float
    excludes_outside: bool
    antialiases: bool


@dataclass(frozen=True)
class Axis:
    """An axis before and after; scale as the file gives it, roi as fractions of the axis."""

    length: int
    resized: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Taps:
    """indices, weights: [resized, taps]; outside: [resized], where a value from beyond the axis is due."""

    indices: np.ndarray
    weights: np.ndarray
    outside: np.ndarray

    @property
    def is_repetition(self) -> bool:
        """True where each element is repeated equally often, and nothing else."""
        length = len(self.indices)
        factor = length // (int(self.indices.max()) + 1) if length else 0
        is_pick = self.indices.shape[1] == 1 and not self.outside.any()
        return is_pick and factor > 0 and bool((self.indices[:, 0] == np.arange(length) // factor).all())


def taps(axis: Axis, sampling: Sampling) -> Taps:
    """The taps of one axis, as ONNX Runtime computes them: coordinates in float32."""
    places = _places(axis, sampling.coordinates)
    outside = np.zeros(axis.resized, bool)
    if sampling.coordinates == "tf_crop_and_resize":
        outside = (places < 0) | (places > axis.length - 1)
    if sampling.mode == "nearest":
        picked = np.clip(_rounded(places, sampling.rounding, axis.scale), 0, axis.length - 1)
        return Taps(picked.astype(np.int64)[:, None], np.ones((axis.resized, 1), np.float32), outside)
    if sampling.mode == "linear" and not sampling.antialiases:
        places = np.clip(places, 0, axis.length - 1)
    return Taps(*_within(*_kernel(places, axis, sampling), axis.length, sampling.excludes_outside), outside)


def resampled(x: Tensor, axis: int, found: Taps, extrapolation: float) -> Tensor:
    """The tensor of floats with an axis resampled."""
    result: Tensor | None = None
    along = [1] * x.rank
    along[axis] = -1
    for indices, weights in zip(found.indices.T, found.weights.T, strict=True):
        term = x.take(indices, axis)
        if (weights != 1).any():
            term = term * weights.reshape(along)
        result = term if result is None else result + term
    assert result is not None
    if found.outside.any():
        mask = x.graph.constant(found.outside.reshape(along))
        result = x.graph.add("Where", mask, x.operand(extrapolation), result)
    return result


def _places(axis: Axis, coordinates: str) -> np.ndarray:
    """The place in the input of each element of the output."""
    x = np.arange(axis.resized, dtype=np.float32)
    scale, one, half = np.float32(axis.scale), np.float32(1), np.float32(0.5)
    last, last_resized = np.float32(axis.length - 1), np.float32(axis.resized - 1)
    start, end = (np.float32(value) for value in axis.roi)
    match coordinates:
        case "asymmetric":
            return x / scale
        case "half_pixel":
            return (x + half) / scale - half
        case "pytorch_half_pixel":
            return (x + half) / scale - half if axis.resized > 1 else np.zeros_like(x)
        case "tf_half_pixel_for_nn":
            return (x + half) / scale
        case "align_corners":
            return x * last / last_resized if axis.resized > 1 else np.zeros_like(x)
        case "half_pixel_symmetric":
            adjustment = np.float32(axis.resized) / (scale * np.float32(axis.length))
            center = np.float32(axis.length) / np.float32(2)
            offset = center * (one - adjustment)
            return (np.float64(offset) + (x.astype(np.float64) + 0.5) / np.float64(scale) - 0.5).astype(
                np.float32
            )
        case "tf_crop_and_resize":
            if axis.resized > 1:
                return start * last + x * (end - start) * last / last_resized
            return np.full_like(x, half * (start + end) * last)
    raise ValueError(f"no coordinate transformation mode {coordinates!r}")


def _rounded(places: np.ndarray, rounding: str, scale: float) -> np.ndarray:
    match rounding:
        case "round_prefer_floor":
            return np.asarray(np.ceil(places - np.float32(0.5)))
        case "round_prefer_ceil":
            return np.asarray(np.floor(places + np.float32(0.5)))
        case "floor":
            return np.asarray(np.floor(places))
        case "ceil":
            return np.asarray(np.ceil(places))
        case "simple":
            return np.asarray(np.ceil(places) if scale < 1 else np.floor(places))
    raise ValueError(f"no nearest_mode {rounding!r}")


def _kernel(places: np.ndarray, axis: Axis, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """Indices, which may lie beyond the axis, and weights, [resized, taps]."""
    width = 1 if sampling.mode == "linear" else 2
    stretch = min(axis.scale, 1.0) if sampling.antialiases else 1.0
    base = np.floor(places).astype(np.int64)
    first = math.floor(-width / stretch) + 1
    indices = base[:, None] + np.arange(first, 2 - first)[None, :]
    distances = np.abs(indices - places[:, None].astype(np.float64)) * stretch
    weights = np.maximum(1 - distances, 0) if width == 1 else _cubic(distances, sampling.cubic_coefficient)
    if sampling.antialiases:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return indices, weights


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def _within(
    indices: np.ndarray, weights: np.ndarray, length: int, excludes_outside: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices within the axis: the border stands for what is beyond, or nothing does."""
    if excludes_outside:
        weights = np.where((indices < 0) | (indices >= length), 0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    used = (weights != 0).any(axis=0)
    return np.clip(indices[:, used], 0, length - 1), weights[:, used].astype(np.float32)
