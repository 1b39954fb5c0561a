"""The occupancy of NVIDIA's multiprocessors: the share of their warps that a kernel's resources let be resident.

Limits of the compute capabilities: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability";
allocation units: CUDA Occupancy Calculator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WARP = 32
_REGISTERS = 65536
#: Registers are allocated to a warp in units of so many, and warps to each of four schedulers.
_REGISTER_UNIT, _SCHEDULERS = 256, 4
_ARCH = re.compile(r"sm_(\d+)(\d)[af]?")


@dataclass(frozen=True, slots=True)
class Multiprocessor:
    """warps, blocks: the most that are resident at once. shared_bytes: of all resident blocks; reserved_bytes: what
    the system takes of it for each block, shared_unit: bytes by which it is allocated."""

    warps: int
    blocks: int
    shared_bytes: int
    reserved_bytes: int = 1024
    shared_unit: int = 128

    def occupancy(self, threads: int, registers: int, shared_bytes: int) -> float:
        """The share of the warps, 0 to 1, that are resident; 0 where not one block fits.

        threads: of a block; registers: of a thread; shared_bytes: of a block, static and dynamic.
        """
        warps = _units(threads, _WARP)
        limits = [self.blocks, self.warps // warps]
        if registers:
            of_warp = _units(_WARP * registers, _REGISTER_UNIT) * _REGISTER_UNIT
            limits.append(_REGISTERS // _SCHEDULERS // of_warp * _SCHEDULERS // warps)
        shared = shared_bytes + self.reserved_bytes
        if shared:
            limits.append(self.shared_bytes // (_units(shared, self.shared_unit) * self.shared_unit))
        return min(limits) * warps / self.warps


#: By the first compute capability with these limits, the newest last.
_MULTIPROCESSORS = {
    (5, 0): Multiprocessor(64, 32, 64 << 10, 0, 256),
    (5, 2): Multiprocessor(64, 32, 96 << 10, 0, 256),
    (5, 3): Multiprocessor(64, 32, 64 << 10, 0, 256),
    (6, 1): Multiprocessor(64, 32, 96 << 10, 0, 256),
    (6, 2): Multiprocessor(64, 32, 64 << 10, 0, 256),
    (7, 0): Multiprocessor(64, 32, 96 << 10, 0, 256),
    (7, 5): Multiprocessor(32, 16, 64 << 10, 0, 256),
    (8, 0): Multiprocessor(64, 32, 164 << 10),
    (8, 6): Multiprocessor(48, 16, 100 << 10),
    (8, 7): Multiprocessor(48, 16, 164 << 10),
    (8, 9): Multiprocessor(48, 24, 100 << 10),
    (9, 0): Multiprocessor(64, 32, 228 << 10),
    (12, 0): Multiprocessor(48, 24, 100 << 10),
}


def multiprocessor_of(arch: str) -> Multiprocessor | None:
    """The multiprocessor of an architecture such as sm_80; None for unknown ones."""
    found = _ARCH.fullmatch(arch)
    if found is None:
        return None
    capability = (int(found[1]), int(found[2]))
    known = [each for first, each in _MULTIPROCESSORS.items() if first <= capability]
    return known[-1] if known else None


def _units(amount: int, unit: int) -> int:
    return -(-amount // unit)
