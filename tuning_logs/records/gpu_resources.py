"""What a kernel takes of a GPU, as its compiler reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuResources:
    """Registers of a thread, bytes that a thread spills, shared memory of a block: the largest of several kernels."""

    registers: int
    spill_bytes: int
    shared_bytes: int

    def largest(self, other: GpuResources) -> GpuResources:
        """The larger of each."""
        return GpuResources(
            max(self.registers, other.registers),
            max(self.spill_bytes, other.spill_bytes),
            max(self.shared_bytes, other.shared_bytes),
        )
