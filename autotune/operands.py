"""What a kernel is run on: inputs that expose errors, outputs that show what was never written, guarded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import ml_dtypes  # noqa: F401 - registers bfloat16 and the float8 types with NumPy
import numpy as np
import numpy.typing as npt

from search_spaces.modules import TensorSpec

Array = npt.NDArray[np.generic]

_GUARD_BYTES = 4096
_ALIGNMENT = 4096
# As a float of any width a NaN with a payload that no arithmetic produces; as an integer, an unlikely number.
_SENTINEL = {2: 0x7FA5, 4: 0x7FA5A5A5, 8: 0x7FF5A5A5A5A5A5A5}
_GUARD = 0xA5


class Signs(StrEnum):
    """Which floats inputs are drawn from: positive ones where the untuned program makes NaN of others."""

    MIXED = "mixed"
    POSITIVE = "positive"


@dataclass(frozen=True)
class GuardedArray:
    """A page-aligned array between guard zones of 4 kB; data is the part a kernel may touch."""

    memory: npt.NDArray[np.uint8]
    data: npt.NDArray[np.uint8]
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def allocate(cls, shape: tuple[int, ...], dtype: str) -> GuardedArray:
        """An array with intact guards and undefined data. Raises TypeError for a dtype unknown to NumPy."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = np.empty(size + 2 * _GUARD_BYTES + _ALIGNMENT, np.uint8)
        start = -(memory.ctypes.data + _GUARD_BYTES) % _ALIGNMENT + _GUARD_BYTES
        memory = memory[start - _GUARD_BYTES : start + size + _GUARD_BYTES]
        memory[:_GUARD_BYTES] = _GUARD
        memory[_GUARD_BYTES + size :] = _GUARD
        return cls(memory, memory[_GUARD_BYTES : _GUARD_BYTES + size], shape, dtype)

    @classmethod
    def holding(cls, values: Array) -> GuardedArray:
        """A guarded copy of the values."""
        array = cls.allocate(values.shape, str(values.dtype))
        array.values[...] = values
        return array

    @property
    def values(self) -> Array:
        """The data as what it is."""
        return self.data.view(np.dtype(self.dtype)).reshape(self.shape)

    @property
    def intact(self) -> bool:
        """Whether nobody wrote outside the data."""
        before = self.memory[:_GUARD_BYTES]
        after = self.memory[_GUARD_BYTES + self.data.size :]
        return bool((before == _GUARD).all() and (after == _GUARD).all())

    def fill_with_sentinel(self) -> None:
        """Marks every element as not yet written."""
        width = np.dtype(self.dtype).itemsize
        if width in _SENTINEL:
            self.data.view(f"u{width}")[...] = _SENTINEL[width]
        else:
            self.data[...] = _GUARD


def sentinels(data: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[np.bool_]:
    """Which elements still are as `GuardedArray.fill_with_sentinel` left them."""
    width = np.dtype(dtype).itemsize
    known = width in _SENTINEL
    marks: npt.NDArray[np.bool_] = np.equal(
        data.view(f"u{width}") if known else data, _SENTINEL[width] if known else _GUARD
    )
    return marks


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
