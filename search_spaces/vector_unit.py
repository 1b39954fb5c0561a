"""The vector registers of a CPU target (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm.target import codegen


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """lanes: 32-bit numbers in a vector register; registers: how many of them; cores: how many such units."""

    lanes: int
    registers: int
    cores: int


def vector_unit(target: tvm.target.Target) -> VectorUnit:
    """What the target's instruction set has; the least of its family where its attributes do not tell."""
    cores = int(target.attrs.get("num-cores", 1))
    if codegen.target_has_features("avx512f", target):
        return VectorUnit(16, 32, cores)
    if codegen.target_has_features("avx", target):
        return VectorUnit(8, 16, cores)
    return VectorUnit(4, 32 if str(target.attrs.get("mtriple", "")).startswith("aarch64") else 16, cores)
