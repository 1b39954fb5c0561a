"""Hardware features of a device: threads, vectors, caches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuning_logs.records.device_fingerprint import DeviceFingerprint

#: Bytes of each cache of a small CPU.
_SMALL = (32 << 10, 512 << 10, 8 << 20)
#: The columns of `Hardware.row`, all log2.
HARDWARE_COLUMNS = ("threads", "vector_bits", "l1_bytes", "l2_bytes", "l3_bytes")


@dataclass(frozen=True, slots=True)
class Hardware:
    """threads: those that kernels run with. vector_bits: of the widest vector that the target lets a kernel use."""

    threads: int
    vector_bits: int
    l1_bytes: int = _SMALL[0]
    l2_bytes: int = _SMALL[1]
    l3_bytes: int = _SMALL[2]

    @classmethod
    def of(cls, device: DeviceFingerprint, vector_bits: int) -> Hardware:
        """The hardware of a fingerprint; caches that it does not name have the sizes of a small CPU."""
        facts = device.facts

        def fact(name: str, otherwise: int) -> int:
            value = facts.get(name)
            return int(value) if isinstance(value, int | float) and value > 0 else otherwise

        return cls(
            fact("threads", fact("cores", 1)),
            vector_bits,
            fact("l1d_bytes", _SMALL[0]),
            fact("l2_bytes", _SMALL[1]),
            fact("l3_bytes", _SMALL[2]),
        )

    @property
    def caches(self) -> tuple[int, ...]:
        """Bytes of each level, from the smallest."""
        return (self.l1_bytes, self.l2_bytes, self.l3_bytes)

    @property
    def row(self) -> NDArray[np.float32]:
        """One value for each of `HARDWARE_COLUMNS`."""
        return np.log2(np.array([self.threads, self.vector_bits, *self.caches], dtype=np.float32))
