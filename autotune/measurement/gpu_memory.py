"""Memory of a GPU, of this machine or of a board, with a guard behind each array but the inputs (imports TVM)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tvm

from autotune.measurement.device_kernel import read_bytes, write_bytes
from autotune.measurement.guarded_array import sentinel_bytes

# There is no looking before an array that the driver allocated.
_GUARD_BYTES = 4096


class GpuMemory:
    """See `autotune.measurement.device_kernel.DeviceMemory`; device: TVM's, as tvm.cuda(0) or a session's."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self._guarded: list[Any] = []

    @property
    def intact(self) -> bool:
        """Whether the guards behind all arrays but the kept ones are unchanged."""
        expected = sentinel_bytes(_GUARD_BYTES, "uint8")
        # Read as a whole: over RPC, a view that starts elsewhere would be taken for one that starts in front.
        return all(bool((read_bytes(memory)[-_GUARD_BYTES:] == expected).all()) for memory in self._guarded)

    def array(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An uninitialised array, which lives until the next release."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = tvm.runtime.empty((size + _GUARD_BYTES,), "uint8", self.device)
        write_bytes(memory, sentinel_bytes(size + _GUARD_BYTES, "uint8"))
        self._guarded.append(memory)
        return memory._create_view(shape, dtype)

    def keep(self) -> None:
        """Keeps the present arrays beyond the next release, and checks their guards no more: reading them is slow."""
        self._guarded.clear()

    def release(self) -> None:
        """Frees all arrays but the kept ones."""
        self._guarded.clear()

    def forget(self) -> None:
        """Frees all arrays."""
        self._guarded.clear()
