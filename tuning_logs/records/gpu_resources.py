"""The GPU resources that a kernel occupies, as its compiler reports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuResources:
    """GPU resources of a compiled kernel: the largest of several kernels.

    registers, spill_bytes: of a thread. shared_bytes: of a block, static ones. dynamic_shared_bytes: of a block, set
    at launch. threads: of a block. occupancy: the share of a multiprocessor's warps that are resident with these.
    The last three are None where nothing is known of the launch.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    dynamic_shared_bytes: int | None = None
    threads: int | None = None
    occupancy: float | None = None
