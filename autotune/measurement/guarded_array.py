"""A page-aligned array between guard zones, which show writes outside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

_GUARD_BYTES = 4096
_ALIGNMENT = 4096
# As a float of any width a NaN with a payload that no arithmetic produces; as an integer, an unlikely number.
_SENTINEL = {2: 0x7FA5, 4: 0x7FA5A5A5, 8: 0x7FF5A5A5A5A5A5A5}
_GUARD = 0xA5


@dataclass(frozen=True)
class GuardedArray:
    """An array and its guards.

    data: the bytes that a kernel may touch; memory: those and 4 kB on either side; shape, dtype: of the values.

    A dtype that is not NumPy's own must have been registered with it.
    """

    memory: npt.NDArray[np.uint8]
    data: npt.NDArray[np.uint8]
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def allocate(cls, shape: tuple[int, ...], dtype: str) -> GuardedArray:
        """An uninitialised array with intact guards. Raises TypeError for a dtype unknown to NumPy."""
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
        """A view of the data, with dtype and shape."""
        return self.data.view(np.dtype(self.dtype)).reshape(self.shape)

    @property
    def intact(self) -> bool:
        """Whether the guards are unchanged."""
        before = self.memory[:_GUARD_BYTES]
        after = self.memory[_GUARD_BYTES + self.data.size :]
        return bool((before == _GUARD).all() and (after == _GUARD).all())

    def fill_with_sentinel(self) -> None:
        """Marks every element as not yet written."""
        self.data[...] = sentinel_bytes(self.data.size, self.dtype)


def sentinel_bytes(size: int, dtype: str) -> npt.NDArray[np.uint8]:
    """An array of `size` bytes, each element of the dtype marked as not yet written."""
    width = np.dtype(dtype).itemsize
    if width not in _SENTINEL:
        return np.full(size, _GUARD, np.uint8)
    return np.full(size // width, _SENTINEL[width], f"u{width}").view(np.uint8)


def sentinels(data: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[np.bool_]:
    """A mask of the elements that still are as `sentinel_bytes` marks them."""
    width = np.dtype(dtype).itemsize
    known = width in _SENTINEL
    marks: npt.NDArray[np.bool_] = np.equal(
        data.view(f"u{width}") if known else data, _SENTINEL[width] if known else _GUARD
    )
    return marks
