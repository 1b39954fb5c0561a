"""Loops of elementwise stages, copies and gathers on a CPU: in parallel outside, vectors inside (imports TVM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.stage import Stage, is_var
from search_spaces.tensor_ir.tile_choice import vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Less work than this is done before the other cores have begun: steps, a call counting as many.
_LEAST_STEPS = 1 << 14
_STEPS_A_CALL = 16
#: Parallel tasks for each core that keep all of them busy to the end.
_TASKS_PER_CORE = 16


def schedule_spatial(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> None:
    """Vectors along the last axis, or along all of them where nothing is moved; raises ValueError for reductions."""
    if stage.reductions:
        raise ValueError("a reduction")
    loops = list(schedule.get_loops(stage.block))
    extents = [axis.extent for axis in stage.axes]
    if len(loops) > 1 and _is_elementwise(stage):
        loops, extents = [schedule.fuse(*loops)], [stage.steps]
    if loops and extents[-1] is not None:
        lanes = vector_lanes(extents[-1], lanes_of(stage, unit))
        if lanes > 1:
            outer, inner = schedule.split(loops[-1], [None, lanes])
            schedule.vectorize(inner)
            loops[-1], extents[-1] = outer, extents[-1] // lanes
    if is_enough(stage):
        parallelize(schedule, loops, extents, unit)


def schedule_parallel(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> None:
    """The outer spatial loops in parallel, and nothing else."""
    count = next((place for place, axis in enumerate(stage.axes) if axis.is_reduction), len(stage.axes))
    loops = list(schedule.get_loops(stage.block))[:count]
    if is_enough(stage):
        parallelize(schedule, loops, [axis.extent for axis in stage.axes[:count]], unit)


def parallelize(
    schedule: s_tir.Schedule,
    loops: Sequence[Any],
    extents: Sequence[int | None],
    unit: VectorUnit,
) -> None:
    """Fuses as many of the outer loops as give all cores work, and runs them in parallel, on more cores than one."""
    tasks, count = 1, 0
    for extent in extents:
        if tasks >= _TASKS_PER_CORE * unit.cores:
            break
        count += 1
        if extent is None:
            break
        tasks *= extent
    if (count and tasks != 1 and unit.cores > 1) or None in extents[:count]:
        schedule.parallel(schedule.fuse(*loops[:count]) if count > 1 else loops[0])


def is_enough(stage: Stage) -> bool:
    """Whether a stage has work for more than one core; one of dynamic shape is taken to have it."""
    return stage.steps is None or stage.steps * (1 + _STEPS_A_CALL * stage.calls) >= _LEAST_STEPS


def lanes_of(stage: Stage, unit: VectorUnit) -> int:
    """The numbers of a vector register, by the width of what the stage writes; at least of 32 bits."""
    bits = int(stage.buffer.dtype.bits)
    return max(unit.lanes * 32 // max(bits, 32), 1)


def _is_elementwise(stage: Stage) -> bool:
    """Whether each step reads at the very indices at which it writes."""
    wide = [axis for axis in stage.axes if not axis.is_unit]
    written = [[index for index in stage.writes[0][1] if any(is_var(index, axis) for axis in wide)]]
    read = [[index for index in indices if not _is_unit_index(index, stage)] for _, indices in stage.reads]
    return stage.is_exact and all(
        len(one) == len(wide) and all(is_var(index, axis) for index, axis in zip(one, wide, strict=True))
        for one in (*written, *read)
    )


def _is_unit_index(index: Any, stage: Stage) -> bool:
    return not any(is_var(index, axis) and not axis.is_unit for axis in stage.axes) and (
        hasattr(index, "value") or any(is_var(index, axis) for axis in stage.axes)
    )
