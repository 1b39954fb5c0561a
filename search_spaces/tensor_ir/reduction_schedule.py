"""Loops of a reduction on a CPU: a tile of results in registers, its sums around it, and what follows (imports TVM).

Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.column_padding import pad_columns
from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.partial_sums import with_partial_sums, with_sums_of_parts
from search_spaces.tensor_ir.reduction_operands import (
    operand_to_pack,
    reads_vectors,
    shares_rows,
    transpose_operands,
)
from search_spaces.tensor_ir.reduction_tile import panel_of, tile_of
from search_spaces.tensor_ir.spatial_schedule import is_enough
from search_spaces.tensor_ir.stage import (
    Axis,
    Stage,
    is_contiguous,
    is_var,
    read_stage,
    uses,
)
from search_spaces.tensor_ir.tile_choice import RegisterTile, keeps_busy, vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit
from search_spaces.tensor_ir.weight_packing import pack_weights


def schedule_reduction(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> None:
    """A register tile, and the elementwise stage that follows; raises ValueError for what is no reduction."""
    if not stage.reductions or stage.value is None or not stage.is_exact:
        raise ValueError("no reduction")
    if not stage.spatial:
        if with_sums_of_parts(schedule, stage, unit):
            return
        raise ValueError("no reduction of what lies together")
    column = _column(stage)
    if column is not None and not reads_vectors(stage, column):
        if transpose_operands(schedule, stage, column, unit):
            stage = _reread(schedule, stage)
            column = _column(stage)
        else:
            column = None
    if column is None and with_partial_sums(schedule, stage, unit):
        return
    is_padded = column is not None and pad_columns(schedule, stage, column, unit)
    if is_padded:
        stage = _reread(schedule, stage)
        column = _column(stage)
    follower = _follower(schedule, stage) or schedule.cache_write(stage.block, 0, "global")
    tile = tile_of(stage, column, unit)
    innermost = _tile_loops(schedule, stage, column, tile, unit)
    schedule.reverse_compute_at(follower, innermost)
    if is_padded:
        schedule.annotate(innermost, CUT, 1)
    count = len(stage.spatial)
    inner = schedule.get_loops(follower)[-count:] if count else []
    _vectorize(schedule, list(inner), tile)


def _column(stage: Stage) -> Axis | None:
    """The axis along which results lie together."""
    wide = [axis for axis in stage.spatial if not axis.is_unit]
    if not wide or wide[-1].extent is None or not is_contiguous(stage.writes[0][1], wide[-1]):
        return None
    return wide[-1] if uses(stage.writes[0][1][-1], wide[-1]) else None


def _reread(schedule: s_tir.Schedule, stage: Stage) -> Stage:
    found = read_stage(schedule, stage.block)
    if found is None:
        raise ValueError("no stage any more")
    return found


def _follower(schedule: s_tir.Schedule, stage: Stage) -> Any:
    """The one stage that reads the results, if it reads them in the order in which they are written."""
    consumers = schedule.get_consumers(stage.block)
    if len(consumers) != 1:
        return None
    consumer = read_stage(schedule, consumers[0])
    if consumer is None or consumer.reductions or len(consumer.spatial) != len(stage.spatial):
        return None
    # Fewer columns are read where columns of zeros were added.
    same = [
        mine.extent == other.extent
        or (mine is stage.spatial[-1] and 1 < (other.extent or 0) < (mine.extent or 0))
        for mine, other in zip(stage.spatial, consumer.spatial, strict=True)
    ]
    reads = consumer.reads_of(stage.buffer)
    wide = [axis for axis in consumer.spatial if not axis.is_unit]
    in_order = all(
        [index for index in indices if any(is_var(index, axis) for axis in wide)]
        == [axis.var for axis in wide]
        for indices in (*reads, consumer.writes[0][1])
    )
    return consumer.block if all(same) and reads and in_order else None


@dataclass
class _Loops:
    """The loops of a stage in the making: even and uneven ones outside, rows of a tile inside.

    tasks: the extents of the even ones.
    """

    even: list[Any] = field(default_factory=list)
    tasks: list[int | None] = field(default_factory=list)
    uneven: list[Any] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)


def _with_rows(
    schedule: s_tir.Schedule, stage: Stage, loops: dict[Any, Any], column: Axis | None, tile: RegisterTile
) -> _Loops:
    """All spatial loops but the columns', the tile's rows split off."""
    found = _Loops()
    for place, axis in enumerate(stage.spatial):
        loop, extent = loops[axis.var], axis.extent
        if axis is column:
            continue
        if place == tile.row and extent is not None:
            loop, row = schedule.split(loop, [None, tile.height])
            found.rows.append(row)
            if extent % tile.height:
                found.uneven.append(loop)
                continue
            extent //= tile.height
        found.even.append(loop)
        found.tasks.append(extent)
    return found


def _tile_loops(
    schedule: s_tir.Schedule, stage: Stage, column: Axis | None, tile: RegisterTile, unit: VectorUnit
) -> Any:
    """Splits and orders the loops; the innermost loop outside the tile and its reductions."""
    loops = dict(zip((axis.var for axis in stage.axes), schedule.get_loops(stage.block), strict=True))
    outer = _with_rows(schedule, stage, loops, column, tile)
    reductions = [loops[axis.var] for axis in stage.reductions]
    enough = is_enough(stage) and unit.cores > 1
    if column is None or column.extent is None:
        schedule.reorder(*outer.even, *reductions)
        task = _fused(schedule, outer.even)
        if enough and outer.tasks != [1] * len(outer.tasks):
            schedule.parallel(task)
        return task
    blocks = ceil(column.extent / tile.width)
    is_even = column.extent % tile.width == 0
    packed = None
    if is_even and not pack_weights(schedule, stage, column, tile.width) and keeps_busy(blocks, unit):
        packed = operand_to_pack(stage, column, tile.width)
    within = 1 if packed is not None else panel_of(stage, blocks, tile, unit) if is_even else blocks
    factors = [blocks // within, within, tile.vectors, tile.lanes]
    first, panel, *vectors = schedule.split(loops[column.var], factors)
    if packed is None and shares_rows(stage, column):
        shared = _rows_by_core(schedule, outer, unit)
        tasks = [*shared, first, *outer.even]
    else:
        tasks = [first, *outer.even]
    schedule.reorder(*tasks, *outer.uneven, panel, *reductions, *outer.rows, *vectors)
    for loop in (*outer.uneven, *([] if is_even else [panel])):
        schedule.annotate(loop, CUT, 1)
    task = _fused(schedule, [first] if packed is not None else tasks)
    if enough and [factors[0], *outer.tasks] != [1] * (1 + len(outer.tasks)):
        schedule.parallel(task)
    _unroll(schedule, [*outer.rows, *vectors], tile)
    if stage.is_window and stage.branches:
        for loop in reductions[1:]:  # a condition on them is then a constant
            schedule.unroll(loop)
    if packed is not None:
        copy = schedule.cache_read(stage.block, packed, "global")
        schedule.compute_at(copy, task)
        _vectorize(schedule, [schedule.get_loops(copy)[-1]], tile)
    return panel


def _rows_by_core(schedule: s_tir.Schedule, outer: _Loops, unit: VectorUnit) -> list[Any]:
    """Splits a loop over rows so that each core has its part of them; nothing where there is no equal part."""
    for place, extent in enumerate(outer.tasks):
        if extent is not None and extent > 1:
            if extent % unit.cores:
                return []
            part, outer.even[place] = schedule.split(outer.even[place], [unit.cores, None])
            return [part]
    return []


def _fused(schedule: s_tir.Schedule, loops: list[Any]) -> Any:
    return schedule.fuse(*loops) if len(loops) > 1 else loops[0]


def _unroll(schedule: s_tir.Schedule, loops: list[Any], tile: RegisterTile) -> None:
    """Unrolls the rows and vectors of a tile, and makes its last loop one vector."""
    if tile.lanes > 1 and loops:
        schedule.vectorize(loops.pop())
    for loop in loops:
        schedule.unroll(loop)


def _vectorize(schedule: s_tir.Schedule, loops: list[Any], tile: RegisterTile) -> None:
    """The loops of what follows within a tile."""
    wide = [loop for loop in loops if _extent(schedule, loop) != 1]
    if tile.lanes > 1 and wide:
        last = wide.pop()
        # Fewer than the tile's columns are left where columns of zeros were added.
        lanes = vector_lanes(_extent(schedule, last) or 0, tile.lanes)
        if lanes > 1:
            schedule.vectorize(schedule.split(last, [None, lanes])[1])


def _extent(schedule: s_tir.Schedule, loop: Any) -> int | None:
    extent = schedule.get(loop).extent
    return int(extent) if hasattr(extent, "value") else None
