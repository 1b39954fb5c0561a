"""The vector registers of a CPU target (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm.target import codegen


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """lanes: 32-bit numbers in a vector register; registers: how many of them; scalar_registers: how many of those
    are kept for scalars spread over all lanes, none where multiply-adds read them from memory; cores: how many such
    units."""

    lanes: int
    registers: int
    scalar_registers: int
    cores: int


def vector_unit(target: tvm.target.Target) -> VectorUnit:
    """The target's vector unit; the smallest of its architecture where the attributes do not tell."""
    cores = int(target.attrs.get("num-cores", 1))
    if codegen.target_has_features("avx512f", target):
        return VectorUnit(16, 32, 0, cores)
    if codegen.target_has_features("avx", target):
        return VectorUnit(8, 16, 2, cores)
    if str(target.attrs.get("mtriple", "")).startswith("aarch64"):
        return VectorUnit(4, 32, 2, cores)
    return VectorUnit(4, 16, 2, cores)
