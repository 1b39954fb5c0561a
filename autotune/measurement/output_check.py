"""Comparison of a candidate's outputs with the baseline's, with tolerance for sums in another order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import numpy.typing as npt

from autotune.measurement.guarded_array import Array, sentinels
from tuning_logs.records.measurement import Check

# The relative error that rounding in a chain of a few operations explains, by dtype.
_FLOOR = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}
_FLOAT8_FLOOR = 0.5
# The error of a sum in another order grows with the root of its length; the largest is a few times the usual.
_SPREAD = 8.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The errors of an output, and its mistake, None where it is right."""

    check: Check
    mistake: str | None = None


def is_float(dtype: str) -> bool:
    """Whether values of the dtype are rounded."""
    return "float" in dtype


def tolerance(dtype: str, reduction_length: float) -> float:
    """The largest error allowed of an output, relative to its element or to the output's root mean square.

    reduction_length: the number of products that one output element sums. Integers and booleans must be equal.
    """
    if not is_float(dtype):
        return 0.0
    epsilon = float(ml_dtypes.finfo(np.dtype(dtype)).eps)  # type: ignore[no-untyped-call]
    return max(_FLOOR.get(dtype, _FLOAT8_FLOOR), _SPREAD * epsilon * math.sqrt(max(reduction_length, 1.0)))


def compare(output: Array, reference: Array, reduction_length: float) -> Comparison:
    """Compares two arrays of one shape and dtype; a NaN is right only where the reference has one.

    The relative error of an element is taken against its own size or the root mean square of the reference,
    whichever is larger: a sum that happens to cancel may be off by as much as its neighbours.
    """
    dtype = str(reference.dtype)
    unwritten = _sentinels(output) & ~_sentinels(reference)
    if unwritten.any():
        return _failed(f"{int(unwritten.sum())} of {output.size} output elements were never written")
    if not is_float(dtype):
        off = np.abs(output.astype(np.float64) - reference.astype(np.float64))
        wrong = int(np.count_nonzero(output != reference))
        check = Check(float(off.max(initial=0.0)), float(off.max(initial=0.0) > 0))
        return Comparison(check, f"{wrong} of {output.size} output elements differ" if wrong else None)
    return _compare_floats(output, reference, tolerance(dtype, reduction_length))


def _compare_floats(output: Array, reference: Array, allowed: float) -> Comparison:
    wide = np.float64 if reference.dtype.itemsize == 8 else np.float32
    ours, theirs = output.astype(wide), reference.astype(wide)
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        differing = int(np.count_nonzero(np.isnan(ours) != np.isnan(theirs)))
        return _failed(
            f"{differing} of {output.size} output elements are NaN in one of result and reference only"
        )
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite & ~np.isnan(theirs)], theirs[~finite & ~np.isnan(theirs)]):
        return _failed("output elements are finite where the reference is infinite")
    theirs = theirs[finite]
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(ours[finite] - theirs)
    # What is smaller than any normal number may be flushed to zero.
    error = np.where(error < np.finfo(wide).tiny, 0.0, error)
    scale = math.sqrt(float(np.mean(np.square(theirs, dtype=np.float64)))) if theirs.size else 0.0
    relative = error / np.maximum(np.abs(theirs), wide(scale or 1.0))
    check = Check(float(error.max(initial=0.0)), float(relative.max(initial=0.0)))
    if check.max_rel_error <= allowed:
        return Comparison(check)
    wrong = int(np.count_nonzero(~(relative <= allowed)))
    return Comparison(
        check,
        f"{wrong} of {output.size} output elements are off by more than {allowed:.1e}; "
        f"the largest relative error is {check.max_rel_error:.1e}",
    )


def _sentinels(values: Array) -> npt.NDArray[np.bool_]:
    return sentinels(np.ascontiguousarray(values).reshape(-1).view(np.uint8), str(values.dtype))


def _failed(mistake: str) -> Comparison:
    return Comparison(Check(math.inf, math.inf), mistake)
