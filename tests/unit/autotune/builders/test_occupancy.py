"""Occupancy, held against NVIDIA's occupancy calculator."""

from __future__ import annotations

import pytest

from autotune.builders.occupancy import multiprocessor_of

KIB = 1024


@pytest.mark.parametrize(
    ("arch", "threads", "registers", "shared_bytes", "warps", "most_warps"),
    [
        ("sm_80", 256, 32, 0, 64, 64),  # the threads
        ("sm_80", 32, 32, 0, 32, 64),  # the blocks
        ("sm_80", 256, 128, 0, 16, 64),  # the registers
        ("sm_80", 256, 33, 0, 48, 64),  # registers by units of 8 a thread
        ("sm_80", 128, 32, 48 * KIB, 12, 64),  # shared memory, with 1 KiB a block of the system's
        ("sm_90a", 128, 32, 48 * KIB, 16, 64),
        ("sm_86", 256, 32, 0, 48, 48),
        ("sm_89", 32, 32, 0, 24, 48),
        ("sm_75", 1024, 64, 0, 32, 32),
        ("sm_70", 1024, 64, 0, 32, 64),
        ("sm_70", 128, 32, 48 * KIB, 8, 64),  # nothing of the system's
        ("sm_80", 1024, 255, 0, 0, 64),  # does not fit
    ],
)
def test_the_scarcest_resource_bounds_the_resident_warps(
    arch: str, threads: int, registers: int, shared_bytes: int, warps: int, most_warps: int
) -> None:
    processor = multiprocessor_of(arch)
    assert processor is not None
    assert processor.warps == most_warps
    assert processor.occupancy(threads, registers, shared_bytes) == warps / most_warps


@pytest.mark.parametrize("arch", ["gfx942", "sm_35", "None", ""])
def test_other_architectures_have_no_known_multiprocessor(arch: str) -> None:
    assert multiprocessor_of(arch) is None


def test_newer_architectures_are_taken_for_the_last_known_one_before_them() -> None:
    assert multiprocessor_of("sm_100") == multiprocessor_of("sm_90")
    assert multiprocessor_of("sm_121a") == multiprocessor_of("sm_120")
