"""Error bounds of a model's outputs from runs on rounded inputs and weights, and the verdict on a build's outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from autotune.measurement.output_check import is_float
from tuning_logs.records.measurement import Check

Array = npt.NDArray[Any]

# A long sum errs more than its operands' roundings do, by the root of its length; half floats are summed in float32.
# Correct builds of networks of all kinds stayed below a quarter of these.
_MARGIN, _MARGIN_OF_HALVES = 256.0, 64.0
_COARSE_EPSILON = 1e-5
# Of the error of the reference itself, which another run has as well: the largest of many is some times the mean.
_MARGIN_OF_OWN_ERROR = 16.0
# Units in the last place of an element itself, for what its last operation rounds.
_ULPS = 16.0
_TINIEST = float(np.finfo(np.float32).tiny)
# The mean error of fewer elements than these says little.
_LEAST_SLICE = 64
# What rounding explains after some hundred layers, relative to an element or the output's root mean square.
_TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}
# How many more discrete outputs may flip than flipped in a perturbed run.
_FLIPS = 4


@dataclass(frozen=True, slots=True)
class Expected:
    """One output of the reference, and the largest error that rounding explains, element by element.

    values: as the reference computes them; bounds: of |error|, float64, of the same shape; for integers and booleans,
    infinite at elements that rounding flips; flips: how many others may differ as well.
    """

    values: Array
    bounds: npt.NDArray[np.float64]
    flips: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The largest errors of a build's outputs against the reference, and the mistake, None where they are right."""

    check: Check
    mistake: str | None = None


@dataclass(frozen=True, slots=True)
class Referee:
    """The reference's outputs for several draws of inputs.

    draws: the outputs of each, in order; samples: the inputs of the last ones, which come from files.
    """

    draws: tuple[tuple[Expected, ...], ...]
    samples: tuple[tuple[Array, ...], ...] = ()

    def judge(self, outputs: Sequence[Sequence[Array]]) -> Verdict:
        """The verdict on a build's outputs for the same draws: that of the first draw with a mistake, if any."""
        found = [judge(mine, right) for mine, right in zip(outputs, self.draws, strict=True)]
        return next(
            (one for one in found if one.mistake), max(found, key=lambda one: one.check.max_rel_error)
        )


def of_peer(outputs: Sequence[Array]) -> tuple[Expected, ...]:
    """Another build's outputs as the reference, with one tolerance for each dtype."""
    return tuple(Expected(values, _peer_bounds(values)) for values in outputs)


def _peer_bounds(values: Array) -> npt.NDArray[np.float64]:
    magnitude = np.abs(np.where(np.isfinite(_wide(values)), _wide(values), 0.0))
    scale = math.sqrt(float(np.mean(np.square(magnitude)))) if values.size else 0.0
    if not is_float(str(values.dtype)):
        return np.zeros(values.shape)
    return _TOLERANCE.get(str(values.dtype), 0.0) * np.maximum(magnitude, scale) + _TINIEST


def expected(
    values: Array, perturbed: Sequence[Array], epsilon: float, other: Array | None = None
) -> Expected:
    """An output with its bounds, from the same output of runs whose inputs and weights were rounded otherwise.

    epsilon: the unit roundoff of the type that the model computes in. Elements are bounded by their own sensitivity
    or that of the slice they are in, along the axis where it is smallest: scores of a detector are judged as scores
    though they share a tensor with boxes in pixels. Perturbed runs of another shape, or with NaN where the
    reference has none, are left out.
    other: the same output computed in another precision; how far it is off is what roundings inside of the model do,
    as where a sum cancels out that the inputs alone do not explain.
    """
    usable = [one for one in perturbed if one.shape == values.shape]
    if other is not None and other.shape == values.shape and not is_float(str(values.dtype)):
        usable.append(other)
    wide = _wide(values)
    with np.errstate(invalid="ignore"):
        errors = [np.abs(_wide(one) - wide) for one in usable]
    if not is_float(str(values.dtype)):
        flipped = [error > 0 for error in errors]
        decided = ~np.any(flipped, axis=0) if flipped else np.ones(values.shape, bool)
        most = max((int(one.sum()) for one in flipped), default=0)
        return Expected(values, np.where(decided, 0.0, np.inf), _FLIPS * most)
    magnitude = np.where(np.isfinite(wide), np.abs(wide), 0.0)
    floor = _ULPS * epsilon * np.maximum(magnitude, np.sqrt(_slice_means(np.square(magnitude))))
    margin = _MARGIN if epsilon < _COARSE_EPSILON else _MARGIN_OF_HALVES
    bounds = margin * _scale(errors, wide) + floor
    if other is not None and other.shape == values.shape:
        with np.errstate(invalid="ignore"):
            own = _scale([np.abs(_wide(other) - wide)], wide)
        bounds = np.maximum(bounds, _MARGIN_OF_OWN_ERROR * own + floor)
    # What is smaller than any normal number may be flushed to zero.
    return Expected(values, bounds + _TINIEST)


def _scale(errors: Sequence[Array], wide: Array) -> npt.NDArray[np.float64]:
    """The root mean square error of each element over several runs, or of its slice where that is larger."""
    squares = [np.square(error) for error in errors if np.isfinite(error[np.isfinite(wide)]).all()]
    mean = np.mean(squares, axis=0) if squares else np.zeros(wide.shape)
    mean = np.where(np.isfinite(mean), mean, 0.0)
    scale: npt.NDArray[np.float64] = np.sqrt(np.maximum(mean, _slice_means(mean)))
    return scale


def judge(outputs: Sequence[Array], references: Sequence[Expected]) -> Verdict:
    """Outputs of a build held against the reference's: shapes, dtypes, NaN and infinities, and every element."""
    if len(outputs) != len(references):
        return _failed(f"expected {len(references)} outputs, found {len(outputs)}")
    found = [_judge_one(place, *pair) for place, pair in enumerate(zip(outputs, references, strict=True))]
    worst = Check(
        max((one.check.max_abs_error for one in found), default=0.0),
        max((one.check.max_rel_error for one in found), default=0.0),
    )
    return Verdict(worst, "; ".join(one.mistake for one in found if one.mistake) or None)


def _judge_one(place: int, output: Array, reference: Expected) -> Verdict:
    values = reference.values
    if (output.shape, output.dtype) != (values.shape, values.dtype):
        ours, theirs = f"{output.dtype} {output.shape}", f"{values.dtype} {values.shape}"
        return _failed(f"output {place} is {ours} where the reference has {theirs}")
    mine, right = _wide(output), _wide(values)
    special = ~np.isfinite(right) | ~np.isfinite(mine)
    same = (mine == right) | (np.isnan(mine) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        error = np.where(special, np.where(same, 0.0, np.inf), np.abs(mine - right))
    off = error > reference.bounds
    finite = error[np.isfinite(error)]
    scale = math.sqrt(float(np.mean(np.square(right[~special])))) if (~special).any() else 0.0
    relative = error / np.maximum(np.where(special, 0.0, np.abs(right)), scale or 1.0)
    check = Check(float(error.max(initial=0.0)), float(relative.max(initial=0.0)))
    count = int(off.sum())
    if count <= reference.flips:
        return Verdict(check if finite.size == error.size else Check(math.inf, math.inf))
    at = np.unravel_index(int(np.argmax(np.where(off, error, -1.0))), error.shape)
    where = f"[{', '.join(map(str, map(int, at)))}]" if error.ndim else ""
    return Verdict(
        check,
        f"{count} of {error.size} elements of output {place} are off by more than rounding explains; the worst "
        f"is {output[at]!s} instead of {values[at]!s}{' at ' + where if where else ''}",
    )


def epsilon_of(dtype: str) -> float:
    """The distance from 1 to the next larger number of a floating-point type."""
    return float(ml_dtypes.finfo(np.dtype(dtype)).eps)  # type: ignore[no-untyped-call]


def _slice_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each element, the smallest mean of the slices it is in; slices of too few elements do not count."""
    found = np.full(values.shape, values.mean() if values.size else 0.0)
    for axis, size in enumerate(values.shape):
        if size > 1 and values.size // size >= _LEAST_SLICE:
            others = tuple(other for other in range(values.ndim) if other != axis)
            found = np.minimum(found, values.mean(axis=others, keepdims=True))
    return found


def _wide(values: Array) -> Array:
    """Complex and float64 as they are, everything else as float64."""
    return values if values.dtype.kind == "c" else values.astype(np.float64)


def _failed(mistake: str) -> Verdict:
    return Verdict(Check(math.inf, math.inf), mistake)
