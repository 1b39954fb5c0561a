"""Instruction sets that a target's machine code may use, and whether this processor has them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from autotune.devices.device import local_device
from autotune.machine.cpu_features import X86, known_features, missing_features
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_features import cpu_features


@pytest.mark.parametrize(
    ("target", "machine", "some", "without"),
    [
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell", "x86_64", {"avx2", "fma", "bmi2"}, {"avx512f"}),
        (
            "llvm -mtriple=x86_64-linux-gnu -mcpu=cascadelake",
            "x86_64",
            {"avx512f", "avx512vnni"},
            {"avx512bf16"},
        ),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=arrowlake", "x86_64", {"avxvnniint8"}, {"avx512f"}),
        ("llvm -mtriple=x86_64-linux-gnu", "x86_64", set(), {"sse3", "avx"}),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76", "aarch64", {"neon", "dotprod"}, {"sve"}),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=neoverse-v2", "aarch64", {"sve2", "i8mm"}, set()),
    ],
)
def test_features_of_a_target(target: str, machine: str, some: set[str], without: set[str]) -> None:
    found = known_features(machine) & cpu_features(Target.parse(target))
    assert some <= found
    assert not without & found


def test_this_processor_has_what_its_own_target_needs() -> None:
    machine = platform.machine()
    needed = known_features(machine) & cpu_features(local_device().target)
    assert missing_features(machine, sorted(needed)) == ()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="not an x86 processor")
def test_this_processor_lacks_what_a_newer_one_has() -> None:
    newer = Target.parse("llvm -mtriple=x86_64-linux-gnu -mcpu=arrowlake")
    needed = sorted(known_features("x86_64") & cpu_features(newer))
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    lacking = tuple(name for name in needed if X86[name].flag not in flags)
    assert missing_features("x86_64", needed) == lacking
    if "avx_vnni_int8" not in flags:
        assert "avxvnniint8" in lacking
