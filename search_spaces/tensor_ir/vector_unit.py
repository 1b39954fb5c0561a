"""The vector registers of a CPU target (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm.target import codegen

#: Independent multiply-adds that hide their latency: two a cycle, four cycles each.
IN_FLIGHT = 8
#: Sums in flight for every one that is needed, so that a late load does not hold up the multiply-adds.
SLACK = 1.25


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """lanes: 32-bit numbers in a vector register; registers: how many of them; scalar_registers: how many of those
    are kept for scalars spread over all lanes; spreads_operands: whether multiply-adds spread a scalar in memory
    themselves, which serves one of them; cores: how many such units."""

    lanes: int
    registers: int
    scalar_registers: int
    spreads_operands: bool
    cores: int

    def holds(self, rows: int, vectors: int) -> bool:
        """Whether the sums of a tile fit into the registers, with a row of the other operand and scalars."""
        scalars = 0 if self.spreads_operands and vectors == 1 else self.scalar_registers
        return rows * vectors + vectors + scalars <= self.registers


def vector_unit(target: tvm.target.Target) -> VectorUnit:
    """The target's vector unit; the smallest of its architecture where the attributes do not tell."""
    cores = int(target.attrs.get("num-cores", 1))
    if codegen.target_has_features("avx512f", target):
        return VectorUnit(16, 32, 2, True, cores)
    if codegen.target_has_features("avx", target):
        return VectorUnit(8, 16, 2, False, cores)
    if str(target.attrs.get("mtriple", "")).startswith("aarch64"):
        return VectorUnit(4, 32, 2, False, cores)
    return VectorUnit(4, 16, 2, False, cores)
