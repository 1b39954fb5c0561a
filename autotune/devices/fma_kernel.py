"""A kernel of multiply-adds in vector registers, which reaches a processor's peak (imports TVM)."""

from __future__ import annotations

import tvm
from tvm import te
from tvm.s_tir import Schedule

from search_spaces.tensor_ir.modules import normalize
from search_spaces.tensor_ir.vector_unit import VectorUnit

# Sums that do not wait for each other: more than are in flight at once, fewer than there are registers.
_SUMS = 12
_STEPS = 100_000


def multiply_adds(unit: VectorUnit) -> tvm.IRModule:
    """A kernel in which every core adds up products in float32, twelve vectors at a time.

    Takes (cores, 12, lanes), (cores, lanes) and the output (cores, 12, lanes); see `operations`.
    """
    weights = te.placeholder((unit.cores, _SUMS, unit.lanes), name="weights")
    data = te.placeholder((unit.cores, unit.lanes), name="data")
    step = te.reduce_axis((0, _STEPS), name="step")
    sums = te.compute(
        (unit.cores, _SUMS, unit.lanes),
        lambda core, place, execution: te.sum(
            weights[core, place, execution] * data[core, execution], axis=step
        ),
        name="sums",
    )
    schedule = Schedule(normalize(te.create_prim_func([weights, data, sums])))
    block = schedule.get_sblock("sums")
    core, place, execution, step = schedule.get_loops(block)
    kept = schedule.cache_write(block, 0, "local")
    schedule.reorder(core, step, place, execution)
    schedule.reverse_compute_at(kept, core)
    schedule.parallel(core)
    schedule.unroll(place)
    schedule.vectorize(execution)
    schedule.decompose_reduction(block, step)
    return schedule.mod


def operations(unit: VectorUnit) -> float:
    """The number of multiplications and additions of one run."""
    return 2.0 * unit.cores * _SUMS * unit.lanes * _STEPS
