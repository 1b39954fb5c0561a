"""Memory of a GPU, of this machine or of a board, with a guard behind each array (imports TVM)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tvm

from autotune.device_kernel import read_bytes, write_bytes
from autotune.guarded_array import sentinel_bytes

# There is no looking before an array that the driver allocated.
_GUARD_BYTES = 4096


class GpuMemory:
    """See `autotune.device_kernel.DeviceMemory`; device: TVM's, as tvm.cuda(0) or a session's."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self._kept: list[Any] = []
        self._passing: list[Any] = []

    @property
    def intact(self) -> bool:
        """Whether nobody wrote just behind an array."""
        expected = sentinel_bytes(_GUARD_BYTES, "uint8")
        return all(bool((read_bytes(guard) == expected).all()) for guard in (*self._kept, *self._passing))

    def array(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of undefined data, which lives until the next release."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        # Elements of any dtype start where the guard does.
        memory = tvm.runtime.empty((size + _GUARD_BYTES,), "uint8", self.device)
        guard = memory._create_view((_GUARD_BYTES,), "uint8", size)
        write_bytes(guard, sentinel_bytes(_GUARD_BYTES, "uint8"))
        self._passing.append(guard)
        return memory._create_view(shape, dtype)

    def keep(self) -> None:
        """All arrays of now outlive the next release."""
        self._kept += self._passing
        self._passing.clear()

    def release(self) -> None:
        """Gives up all arrays but the kept ones."""
        self._passing.clear()

    def forget(self) -> None:
        """Gives up all arrays."""
        self._kept.clear()
        self._passing.clear()
