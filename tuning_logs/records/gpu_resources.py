"""The GPU resources that a kernel occupies, as its compiler reports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuResources:
    """Registers of a thread, bytes that a thread spills, shared memory of a block: the largest of several kernels."""

    registers: int
    spill_bytes: int
    shared_bytes: int
