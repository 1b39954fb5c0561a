"""Random inputs of kernels that expose errors, drawn for each task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

import ml_dtypes  # noqa: F401 - registers bfloat16 and the float8 types with NumPy
import numpy as np

from autotune.measurement.guarded_array import Array
from search_spaces.tensor_ir.modules import TensorSpec


class Signs(StrEnum):
    """The signs of float inputs: positive alone where the untuned program makes NaN of others."""

    MIXED = "mixed"
    POSITIVE = "positive"


def draw_inputs(task_key: str, signature: Sequence[TensorSpec], signs: Signs) -> list[Array]:
    """Values for the inputs of a task, in order: the same for the same task, in every process.

    Floats are normal, a quarter of them small integers (sums of which are exact); 8-bit integers are of the
    full range; wider ones may be indices, so they are not negative, and below any extent that can be indexed.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(task_key.encode()).digest()[:8]))
    inputs = [spec for spec in signature if not spec.is_output]
    return [_draw(rng, spec, _index_limit(inputs, spec), signs) for spec in inputs]


def _draw(rng: np.random.Generator, spec: TensorSpec, index_limit: int, signs: Signs) -> Array:
    dtype = np.dtype(spec.dtype)
    if spec.dtype == "bool":
        return rng.integers(0, 2, spec.shape).astype(np.bool_)
    if dtype.kind in "iu":
        if dtype.itemsize == 1:
            limits = np.iinfo(dtype)
            return rng.integers(limits.min, limits.max, spec.shape, dtype, endpoint=True)
        return rng.integers(0, index_limit, spec.shape).astype(dtype)
    values = rng.standard_normal(spec.shape, np.float32)
    exact = rng.random(spec.shape, np.float32) < 0.25
    values = np.where(exact, np.rint(values * 2), values)
    if signs is Signs.POSITIVE:
        values = np.abs(values) + np.float32(0.5)
    return values.astype(dtype)


def _index_limit(inputs: Sequence[TensorSpec], indices: TensorSpec) -> int:
    extents = [extent for spec in inputs if spec is not indices for extent in spec.shape if extent > 1]
    return min(extents, default=2)
