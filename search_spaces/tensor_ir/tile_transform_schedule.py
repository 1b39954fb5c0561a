"""Schedule of Winograd's tile transforms on a CPU: one tile and one vector of channels at a time (imports TVM)."""

from __future__ import annotations

from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.block_rules import forget_rule, names_rule
from search_spaces.tensor_ir.tile_choice import vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit
from search_spaces.tensor_ir.winograd import SCHEDULE_RULE, TILE

# Loops around the work of one tile and one vector of channels: rows of tiles, columns, vectors.
_TILE_LOOPS = 3


def schedule_tile_transform(schedule: s_tir.Schedule, root: Any, unit: VectorUnit) -> None:
    """Schedules a function that transforms tiles; raises what TVM raises where its loops are not those of one."""
    blocks = schedule.get_child_blocks(root)
    [marked] = [
        schedule.get(block).name_hint for block in blocks if names_rule(schedule, block, SCHEDULE_RULE)
    ]
    forget_rule(schedule, schedule.get_sblock(marked))
    if any(schedule.get(block).name_hint == "padded" for block in blocks):
        _schedule_input(schedule, marked, unit)
    else:
        _schedule_output(schedule, root, marked, unit)


def _schedule_input(schedule: s_tir.Schedule, name: str, unit: VectorUnit) -> None:
    """Rows of tiles in parallel; each copies its rows of the image, with the padding, before it is transformed."""
    block, down, padded = (schedule.get_sblock(one) for one in (name, "down", "padded"))
    place, tile, channel = schedule.get_loops(block)
    columns = (int(schedule.get(padded).writes[0].source.shape[2]) - 2) // TILE
    row, column = schedule.split(tile, [None, columns])
    vectors, lanes = _vectors(schedule, channel, unit)
    schedule.reorder(row, column, vectors, place, lanes)
    schedule.vectorize(lanes)
    schedule.unroll(place)
    schedule.parallel(row)
    schedule.compute_at(down, vectors)
    _unroll_all(schedule, down)
    schedule.compute_at(padded, row)
    *_, inner = schedule.get_loops(padded)
    schedule.vectorize(_vectors(schedule, inner, unit)[1])


def _schedule_output(schedule: s_tir.Schedule, root: Any, name: str, unit: VectorUnit) -> None:
    """Rows of tiles in parallel; what follows the convolution is computed with each tile."""
    [last] = schedule.get_output_blocks(root)
    across, down = schedule.get_sblock(name), schedule.get_sblock("down")
    kept = {schedule.get(block).name_hint for block in (last, across, down)}
    for block in schedule.get_child_blocks(root):
        if schedule.get(block).name_hint not in kept:
            schedule.compute_inline(block)
    *outer, height, width, channel = schedule.get_loops(last)
    row, inner_row = schedule.split(height, [None, TILE])
    column, inner_column = schedule.split(width, [None, TILE])
    vectors, lanes = _vectors(schedule, channel, unit)
    schedule.reorder(*outer, row, column, vectors, inner_row, inner_column, lanes)
    schedule.vectorize(lanes)
    schedule.unroll(inner_row)
    schedule.unroll(inner_column)
    schedule.parallel(schedule.fuse(*outer, row))
    for block in (across, down):
        schedule.compute_at(block, vectors)
        _unroll_all(schedule, block)


def _unroll_all(schedule: s_tir.Schedule, block: Any) -> None:
    """Unrolls the loops of a block that was moved to a tile and a vector, and makes a vector of the last."""
    *small, lanes = schedule.get_loops(block)[_TILE_LOOPS:]
    for loop in small:
        if int(schedule.get(loop).extent) > 1:
            schedule.unroll(loop)
    schedule.vectorize(lanes)


def _vectors(schedule: s_tir.Schedule, loop: Any, unit: VectorUnit) -> Any:
    extent = int(schedule.get(loop).extent)
    return schedule.split(loop, [None, vector_lanes(extent, unit.lanes)])
