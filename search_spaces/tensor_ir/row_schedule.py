"""Several stages that go along the same rows, such as a softmax, as one loop over the rows (imports TVM)."""

from __future__ import annotations

from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.partial_sums import partial_sums, vectorize_lanes
from search_spaces.tensor_ir.spatial_schedule import is_enough, lanes_of
from search_spaces.tensor_ir.stage import Axis, Stage, is_contiguous, is_var, read_stage, uses, volume
from search_spaces.tensor_ir.tile_choice import row_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit


def schedule_rows(schedule: s_tir.Schedule, root: Any, unit: VectorUnit) -> None:
    """Computes all stages row by row, in parallel over the rows; raises ValueError where they do not share any."""
    blocks = schedule.get_child_blocks(root)
    stages = [stage for block in blocks if (stage := read_stage(schedule, block)) is not None]
    outputs = [schedule.get(block).name_hint for block in schedule.get_output_blocks(root)]
    if len(stages) != len(blocks) or len(stages) < 2 or len(outputs) != 1:
        raise ValueError("no chain of stages")
    last = stages[-1]
    shared = _shared_axes(stages)
    rows = volume(last.spatial[:shared])
    if schedule.get(last.block).name_hint != outputs[0] or not shared or rows is None:
        raise ValueError("no rows")
    _check_worthwhile(stages, rows, unit)
    inner: list[Any] = []
    partial: list[Any] = []
    for stage in stages[:-1]:
        sums = partial_sums(schedule, stage, unit) if stage.reductions else None
        inner += sums or (stage.block,)
        partial += sums[:1] if sums else ()
    loops = list(schedule.get_loops(last.block))
    row = schedule.fuse(*loops[:shared]) if shared > 1 else loops[0]
    _vectorize(schedule, last, schedule.get_loops(last.block), unit)
    for block in reversed(inner):
        schedule.compute_at(block, row, preserve_unit_loops=False)
    for block in partial:
        vectorize_lanes(schedule, block)
    by_name = {schedule.get(stage.block).name_hint: stage for stage in stages[:-1]}
    for block in inner:
        stage = by_name.get(schedule.get(block).name_hint)
        if stage is not None and not stage.reductions:
            _vectorize(schedule, stage, schedule.get_loops(block), unit)
    if rows > 1 and unit.cores > 1 and any(is_enough(stage) for stage in stages):
        schedule.parallel(row)


def _check_worthwhile(stages: list[Stage], rows: int, unit: VectorUnit) -> None:
    """Raises ValueError for stages with more to share than rows: products, and reductions that go across rows."""
    for stage in stages:
        operands = [indices for source, indices in stage.reads if not source.same_as(stage.buffer)]
        wide = [axis for axis in stage.spatial if not axis.is_unit]
        if stage.value is None or not stage.is_exact:
            raise ValueError("not one number at a time")
        if stage.reductions and len(wide) > 0 and len(operands) > 1 and _is_product(stage):
            raise ValueError("a product")
        if stage.reductions and wide and _reads_along(stage, wide[-1]):
            raise ValueError("results that lie together, from numbers that do")
        if rows < unit.cores and is_enough(stage):
            raise ValueError("too few rows")


def _reads_along(stage: Stage, column: Axis) -> bool:
    """Whether results that lie together come from numbers that do."""
    operands = [indices for source, indices in stage.reads if not source.same_as(stage.buffer)]
    return all(uses(each[-1], column) and is_contiguous(each, column) for each in operands if each)


def _is_product(stage: Stage) -> bool:
    """Whether an operand is read again for the results along some axis, so that a tile of results pays."""
    operands = [indices for source, indices in stage.reads if not source.same_as(stage.buffer)]
    wide = [axis for axis in stage.spatial if not axis.is_unit]
    along = [
        indices
        for indices in operands
        if any(is_var(index, axis) for index in indices for axis in stage.reductions)
    ]
    return any(not any(is_var(index, axis) for index in indices) for indices in along for axis in wide)


def _shared_axes(stages: list[Stage]) -> int:
    """The number of first axes that all stages have in common: each step of one needs nothing of another step.

    Without reductions, the last axis is none of them.
    """
    last = stages[-1]
    count = min(len(stage.spatial) for stage in stages)
    made = [stage.buffer for stage in stages]
    for stage in stages:
        extents = zip(stage.spatial, last.spatial, strict=False)
        count = min(count, _leading(mine.extent == other.extent for mine, other in extents))
        indexed = [
            indices for source, indices in stage.reads if any(source.same_as(buffer) for buffer in made)
        ]
        for indices in (*indexed, stage.writes[0][1]):
            same = (
                is_var(index, axis) or (axis.is_unit and hasattr(index, "value"))
                for index, axis in zip(indices, stage.spatial, strict=False)
            )
            count = min(count, _leading(same))
    # Stages that go along the last axis together as well are vectors along it.
    is_elementwise = not any(stage.reductions for stage in stages)
    return min(count, len(last.spatial) - 1) if is_elementwise else count


def _leading(flags: Any) -> int:
    count = 0
    for flag in flags:
        if not flag:
            break
        count += 1
    return count


def _vectorize(schedule: s_tir.Schedule, stage: Stage, loops: Any, unit: VectorUnit) -> None:
    column = stage.spatial[-1]
    extent = schedule.get(loops[-1]).extent
    if not hasattr(extent, "value") or not is_contiguous(stage.writes[0][1], column):
        return
    lanes = row_lanes(int(extent), lanes_of(stage, unit))
    if lanes > 1 and len(loops) > 1:
        vectors, inner = schedule.split(loops[-1], [None, lanes])
        schedule.vectorize(inner)
        if int(extent) % lanes or stage.branches:
            schedule.annotate(vectors, CUT, 1)
