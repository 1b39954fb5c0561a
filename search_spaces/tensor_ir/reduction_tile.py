"""Register tile of a reduction on a CPU, and the blocks of it that one task computes (imports TVM)."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from search_spaces.tensor_ir.reduction_operands import is_own, piece_of
from search_spaces.tensor_ir.spatial_schedule import lanes_of
from search_spaces.tensor_ir.stage import Axis, Stage, depends_within, uses, volume
from search_spaces.tensor_ir.tile_choice import (
    TASKS_PER_CORE,
    Columns,
    RegisterTile,
    Rows,
    divisors,
    keeps_busy,
    register_tile,
)
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: What all rows read again and again, their columns of one operand: half of a small second cache.
_PANEL_BYTES = 1 << 17
_ELEMENT_BYTES = 4


def tile_of(stage: Stage, column: Axis | None, unit: VectorUnit) -> RegisterTile:
    """The register tile whose sums take the least time; one number where results do not lie together."""
    if column is None or column.extent is None:
        return RegisterTile(None, 1, 1, 1)
    operands = [indices for source, indices in stage.reads if not is_own(stage, source)]
    piece = piece_of(stage, column)
    with_columns = [each for each in operands if each and depends_within(each, column, piece)]
    rows = [
        (place, axis.extent)
        for place, axis in enumerate(stage.spatial)
        if axis is not column and axis.extent is not None and axis.extent > 1
    ]
    shared = [
        (place, extent)
        for place, extent in rows
        if not any(uses(index, stage.spatial[place]) for each in with_columns for index in each)
    ]
    lanes = replace(unit, lanes=lanes_of(stage, unit))
    # A remainder needs loops to be split, which TVM does not where sizes are symbolic.
    is_static = stage.points is not None
    busy_columns = (
        is_static and piece == column.extent and keeps_busy(prod(extent for _, extent in rows), unit)
    )
    every = prod(extent for _, extent in rows)
    repeats = {place: every // extent for place, extent in rows} if is_static else {}
    cut = Rows(tuple(reversed(shared or rows)), bool(shared), repeats)
    return register_tile(Columns(piece, busy_columns), cut, lanes)


def panel_of(stage: Stage, blocks: int, tile: RegisterTile, unit: VectorUnit) -> int:
    """The number of blocks of columns that one task computes for the same rows."""
    depth = volume(stage.reductions) or 1
    most = max(_PANEL_BYTES // (_ELEMENT_BYTES * depth * tile.width), 1)
    rows = stage.spatial[tile.row].extent if tile.row is not None else 1
    cut = rows if rows is not None and rows % tile.height else tile.height
    tasks = (stage.points or 0) // (tile.width * cut * max(blocks, 1)) or 1
    choices = [each for each in divisors(blocks) if each <= most]
    busy = [each for each in choices if tasks * (blocks // each) >= TASKS_PER_CORE * unit.cores]
    return (busy or choices[:1])[-1]
