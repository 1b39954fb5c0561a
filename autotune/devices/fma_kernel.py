"""A kernel of multiply-adds in vector registers, which reaches a processor's peak (imports TVM)."""

from __future__ import annotations

import tvm
from tvm.script import tirx

from search_spaces.tensor_ir.vector_unit import VectorUnit

# Chains that do not wait for each other: more than are in flight at once, fewer than there are registers.
_CHAINS = 12
_STEPS = 100_000


def multiply_adds(unit: VectorUnit) -> tvm.IRModule:
    """A kernel in which every core steps twelve vectors `x` to `x * factor + factor`, in float32.

    Takes the first x (cores, 12, lanes), the factor (cores, lanes) and the output (cores, 12, lanes); see `operations`.
    All operands stay in registers: a loop that reads a vector per multiply-add runs at the speed of its loads.
    """
    cores, lanes = unit.cores, unit.lanes

    @tirx.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(start: tirx.handle, multiplier: tirx.handle, end: tirx.handle) -> None:
        tirx.func_attr({"tirx.noalias": True})
        first = tirx.match_buffer(start, (cores, _CHAINS, lanes), "float32")
        factor = tirx.match_buffer(multiplier, (cores, lanes), "float32")
        last = tirx.match_buffer(end, (cores, _CHAINS, lanes), "float32")
        for core in tirx.parallel(cores):
            x = tirx.alloc_buffer((_CHAINS, lanes), "float32", scope="local")
            for chain in tirx.unroll(_CHAINS):
                for lane in tirx.vectorized(lanes):
                    x[chain, lane] = first[core, chain, lane]
            for _ in range(_STEPS):
                for chain in tirx.unroll(_CHAINS):
                    for lane in tirx.vectorized(lanes):
                        x[chain, lane] = x[chain, lane] * factor[core, lane] + factor[core, lane]
            for chain in tirx.unroll(_CHAINS):
                for lane in tirx.vectorized(lanes):
                    last[core, chain, lane] = x[chain, lane]

    return tvm.IRModule({"main": main})


def operations(unit: VectorUnit) -> float:
    """The number of multiplications and additions of one run."""
    return 2.0 * unit.cores * _CHAINS * unit.lanes * _STEPS
