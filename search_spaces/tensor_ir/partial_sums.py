"""Reductions along what lies together in memory: as many sums as a vector has lanes, then their sum (imports TVM)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import s_tir, tirx

from search_spaces.tensor_ir.spatial_schedule import is_enough, lanes_of, parallelize
from search_spaces.tensor_ir.stage import Axis, Stage, is_contiguous, loop_variables, uses, volume
from search_spaces.tensor_ir.tile_choice import divisors, vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Fewer steps are not worth a second reduction.
_LEAST_STEPS = 32
_LEAST_LANES = 4
#: Vectors that a core reduces beside each other to a single number, as each step waits for the one before.
_CHAINS = 4
_PARTS_PER_CORE = 4


def with_partial_sums(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> bool:
    """Reduces in vectors, in parallel over the results; False where the reduction does not lie together."""
    found = partial_sums(schedule, stage, unit)
    if found is None:
        return False
    enough = is_enough(stage)
    vectorize_lanes(schedule, found[0])
    for block in found:
        count = len(stage.spatial)
        loops = list(schedule.get_loops(block))[:count]
        if enough:
            parallelize(schedule, loops, [axis.extent for axis in stage.spatial], unit)
    return True


def with_sums_of_parts(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> bool:
    """Reduces everything to one number: each part to a vector, in parallel, then the vectors; False where the numbers
    do not lie together.

    ``s = sum(x[k, l])`` → ``p[t, v] = sum(x[t * K + k, l * V + v])``, ``q[v] = sum(p[t, v])``, ``s = sum(q[v])``
    """
    found = partial_sums(schedule, stage, replace(unit, lanes=_CHAINS * unit.lanes))
    if found is None:
        return False
    partial, _ = found
    steps = list(schedule.get_loops(partial))[:-1]
    extents = [int(schedule.get(loop).extent) for loop in steps]
    outer = next((place for place, extent in enumerate(extents) if extent > 1), None)
    if outer is not None and is_enough(stage) and unit.cores > 1:
        parts = max(count for count in divisors(extents[outer]) if count <= _PARTS_PER_CORE * unit.cores)
        part, _ = schedule.split(steps[outer], [parts, None])
        partial = schedule.rfactor(part, 0)
        *before, part = list(schedule.get_loops(partial))[: outer + 1]
        schedule.reorder(part, *before)
        schedule.parallel(part)
    schedule.vectorize(schedule.get_loops(partial)[-1])
    return True


def vectorize_lanes(schedule: s_tir.Schedule, partial: Any) -> None:
    """Puts the lanes of partial sums innermost, as one vector."""
    loops = list(schedule.get_loops(partial))
    [lane] = loop_variables(schedule, partial, 0)  # where rfactor puts the lanes
    lanes = next(loop for loop in loops if schedule.get(loop).loop_var.same_as(lane))
    inside = loops[loops.index(lanes) + 1 :]
    if inside:
        schedule.reorder(*inside, lanes)
    schedule.vectorize(lanes)


def partial_sums(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> tuple[Any, Any] | None:
    """Splits a reduction into partial sums, one for each lane, and their sum: both blocks; None where it cannot."""
    axis = _inner(stage)
    if axis is None or axis.extent is None:
        return None
    lanes = vector_lanes(axis.extent, lanes_of(stage, unit))
    if lanes < _LEAST_LANES or (volume(stage.reductions) or _LEAST_STEPS) < _LEAST_STEPS:
        return None
    loops = dict(zip((each.var for each in stage.axes), schedule.get_loops(stage.block), strict=True))
    _, inner = schedule.split(loops[axis.var], [None, lanes])
    partial = schedule.rfactor(inner, len(stage.writes[0][1]))
    return partial, stage.block


def _inner(stage: Stage) -> Axis | None:
    """The reduction that lies together in memory in everything that is read along it."""
    reads = [_wide(source, indices) for source, indices in stage.reads if not source.same_as(stage.buffer)]
    for axis in reversed(stage.reductions):
        along = [each for each in reads if any(uses(index, axis) for index in each)]
        if not axis.is_unit and along and all(is_contiguous(each, axis) for each in along):
            return axis
    return None


def _wide(source: Any, indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """The indices up to the last dimension that has more than one element."""
    count = len(indices)
    while (
        count > 1 and isinstance(source.shape[count - 1], tirx.IntImm) and int(source.shape[count - 1]) == 1
    ):
        count -= 1
    return indices[:count]
