"""Values as other roundings would leave them, for the error that rounding explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.measurement.output_check import is_float

Array = npt.NDArray[Any]

#: Runs with other roundings: more cost time, fewer leave the error of small slices to chance.
RUNS = 2
_PATTERN = 65_521


def rounded(values: Array, epsilon: float, rng: np.random.Generator) -> Array:
    """Floats off by up to one unit in the last place, half floats as float32; other values as they are."""
    if not is_float(str(values.dtype)):
        return values
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    wide = np.asarray(values, dtype)
    # Weights are many: a pattern of prime length repeats too rarely to matter.
    factors = 1 + epsilon * rng.uniform(-1.0, 1.0, min(values.size, _PATTERN))
    with np.errstate(over="ignore", invalid="ignore"):
        off = wide * np.resize(factors, wide.shape).astype(dtype)
    return np.where(np.isfinite(off), off, wide)


def is_grid(values: Array) -> bool:
    """Whether a constant is of whole numbers: a grid, a mask or a size, which no rounding changes; or a scalar."""
    return values.size <= 1 or np.array_equal(values, np.round(values))
