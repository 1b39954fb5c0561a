"""Schedule of attention on a CPU: blocks of rows in parallel, each with its scores in a cache (imports TVM)."""

from __future__ import annotations

from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.block_rules import forget_rule
from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.partial_sums import partial_sums, vectorize_lanes
from search_spaces.tensor_ir.stage import read_stage
from search_spaces.tensor_ir.tile_choice import Columns, RegisterTile, Rows, register_tile, vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Loops of a stage within one block of rows: rows, and columns or the depth.
_BLOCK_LOOPS = 2


def schedule_attention(schedule: s_tir.Schedule, unit: VectorUnit) -> None:
    """Schedules the program; raises what TVM raises where its loops are not those of one.

    for block of rows, in parallel:
        for tile of rows and columns: scores = change(queries @ keys)
        for row: largest = max(scores); powers = exp(scores - largest); total = sum(powers)
        for tile of rows and width: mixed = powers @ values
        weighted = mixed / total
    """
    get = schedule.get_sblock
    forget_rule(schedule, get("attention"))
    sums = {
        name: partial_sums(schedule, _stage(schedule, name), unit) or (get(name),)
        for name in ("largest", "total")
    }
    task = _fused(schedule, "weighted", _BLOCK_LOOPS)
    copies = {name: schedule.cache_write(get(name), 0, "global") for name in ("mixed", "scores")}
    schedule.reverse_compute_inline(get("scaled"))
    inside = [
        copies["mixed"],
        get("mixed"),
        *reversed(sums["total"]),
        get("powers"),
        *reversed(sums["largest"]),
        copies["scores"],
        get("scores"),
    ]
    for block in inside:
        schedule.compute_at(block, task)
    for name, copy in copies.items():
        _tile(schedule, get(name), copy, unit)
    for blocks in sums.values():
        if len(blocks) > 1:
            vectorize_lanes(schedule, blocks[0])
    for name in ("powers", "weighted", "attention", "queries", "keys"):
        _vectorize(schedule, get(name), unit)
    if unit.cores > 1:
        schedule.parallel(task)
        for name, inner in (("queries", _BLOCK_LOOPS), ("keys", _BLOCK_LOOPS), ("attention", 1)):
            schedule.parallel(_fused(schedule, name, inner))


def _stage(schedule: s_tir.Schedule, name: str) -> Any:
    stage = read_stage(schedule, schedule.get_sblock(name))
    if stage is None:
        raise ValueError(f"expected a stage, found another block: {name}")
    return stage


def _fused(schedule: s_tir.Schedule, name: str, inner: int) -> Any:
    """All loops of a stage but the inner ones, as one; a loop that became vectors counts as one."""
    block = schedule.get_sblock(name)
    count = len(schedule.get(block).iter_vars) - inner
    return schedule.fuse(*list(schedule.get_loops(block))[:count])


def _tile(schedule: s_tir.Schedule, block: Any, copy: Any, unit: VectorUnit) -> None:
    """Keeps a tile of a product's sums in registers; the copy takes them from there."""
    *_, row, column, step = schedule.get_loops(block)
    tile = _register_tile(int(schedule.get(row).extent), int(schedule.get(column).extent), unit)
    rows, inner = schedule.split(row, [None, tile.height])
    columns, vectors, lanes = schedule.split(column, [None, tile.vectors, tile.lanes])
    schedule.reorder(columns, rows, step, inner, vectors, lanes)
    schedule.annotate(columns, CUT, 1)  # columns that do not exist are in the last tile
    schedule.vectorize(lanes)
    for loop in (vectors, inner):
        schedule.unroll(loop)
    schedule.reverse_compute_at(copy, rows)
    _vectorize(schedule, copy, unit)


def _register_tile(rows: int, columns: int, unit: VectorUnit) -> RegisterTile:
    return register_tile(Columns(columns), Rows(((0, rows),), are_alike=True), unit)


def _vectorize(schedule: s_tir.Schedule, block: Any, unit: VectorUnit) -> None:
    last = list(schedule.get_loops(block))[-1]
    lanes = vector_lanes(int(schedule.get(last).extent), unit.lanes)
    if lanes > 1:
        _, inner = schedule.split(last, [None, lanes])
        schedule.vectorize(inner)
