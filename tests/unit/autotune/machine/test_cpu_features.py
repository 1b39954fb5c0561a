"""Instruction sets of this machine's processor."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from autotune.machine.cpu_features import X86, _x86_by_kernel, missing_features

FLAGS = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
x86 = pytest.mark.skipif(platform.machine() != "x86_64" or not FLAGS, reason="not an x86 processor")


@x86
def test_glibc_and_the_kernel_agree_on_every_feature() -> None:
    by_kernel = _x86_by_kernel()
    expected = tuple(name for name in X86 if not by_kernel(name))
    assert missing_features("x86_64", tuple(X86)) == expected
    assert len(expected) < len(X86)


@x86
def test_a_feature_that_cannot_be_asked_for_is_missing() -> None:
    assert missing_features("x86_64", ("sse4.2", "avx4096")) == ("avx4096",)


def test_nothing_is_known_of_another_machine() -> None:
    assert missing_features("riscv64", ("v",)) == ("v",)
