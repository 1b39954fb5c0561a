"""Sketches whose tiles do not divide the rows of a matrix product, so that they fill a CPU's registers (imports TVM).

TVM tiles loops without remainder, and most sizes are powers of two: with 16 registers the best tile of 512 rows then
is 4 rows of two vectors, whose eight sums are just enough to hide the latency of multiply-adds. Six rows hide it with
room to spare, as in BLIS: Van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality",
ACM TOMS 41 (2015). The last tile is cut off into a loop of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.operand_packing import SPATIAL, TILED, tiled_block, uses
from search_spaces.register_blocking import VECTORS, idle_rows, tile_heights
from search_spaces.sketch import plain
from search_spaces.vector_unit import VectorUnit

#: Of the rows, how many more the last tile could have in the time that it takes.
_MOST_IDLE = 0.08
#: Makes TVM split a loop where a condition in it turns false, so that the condition is gone from all but the end.
_CUT = "pragma_loop_partition_hint"


def with_uneven_rows(module: tvm.IRModule, unit: VectorUnit, traces: Iterable[Any]) -> list[Any]:
    """For each trace that tiles one product: the same with its rows cut into tiles of another height, if that helps.

    Before: ``i0, i1, i2, i3 = split(i, tiling)``; after: ``o, r = split(i, [None, 6])`` and ``i0, i1, i2, i3 =
    split(o, tiling)``, with r inside i3.
    """
    cut = (_uneven(module, unit, trace) for trace in traces)
    return [trace for trace in cut if trace is not None]


def _uneven(module: tvm.IRModule, unit: VectorUnit, trace: Any) -> Any:
    name = tiled_block(trace)
    if name is None:
        return None
    schedule = s_tir.Schedule(module, seed=1, debug_mask="none", error_render_level="none")
    found = _row_and_tiles(schedule.get(schedule.get_sblock(name)), unit)
    if found is None:
        return None
    instructions, decisions = plain(trace.as_json(remove_postproc=True))
    value = _cut(instructions, dict(decisions), *found)
    s_tir.schedule.Trace.apply_json_to_schedule(value, schedule)
    return schedule.trace


def _row_and_tiles(block: Any, unit: VectorUnit) -> tuple[int, int, int] | None:
    """Which of the block's axes is cut, into how many tiles of how many rows; None where tiles that divide its rows do
    as well, or the last tile would take too long for what it does."""
    rows, heights = _rows(block), tile_heights(unit)
    if any(extent % height == 0 for extent in rows.values() for height in heights):
        return None
    fitting = [
        (row, height)
        for row, extent in reversed(rows.items())
        for height in heights
        if extent > height and idle_rows(extent % height) <= _MOST_IDLE * extent
    ]
    if not fitting:
        return None

    def loads_a_row(cut: tuple[int, int]) -> float:
        extent, height = rows[cut[0]], cut[1]
        return (1 + idle_rows(extent % height) / extent) * (height + VECTORS) / height

    row, height = min(fitting, key=loads_a_row)
    return row, -(-rows[row] // height), height


def _rows(block: Any) -> dict[int, int]:
    """Extents of the axes whose every step multiplies the same columns, by place among the block's axes."""
    spatial = {place: each for place, each in enumerate(block.iter_vars) if int(each.iter_type) == SPATIAL}
    column = spatial.pop(max(spatial)).var
    starts = [[each.min for each in read.region] for read in block.reads]
    columns = [each for each in starts if any(column.same_as(index) for index in each)]
    return {
        place: int(axis.dom.extent)
        for place, axis in spatial.items()
        if columns and not any(uses(each, axis.var) for each in columns)
    }


def _cut(instructions: list[Any], decisions: dict[int, Any], row: int, count: int, height: int) -> Any:
    """The trace as JSON, with its rows split first. TVM takes any names for a trace's variables."""
    block = next(
        inputs[0] for kind, inputs, attrs, _ in instructions if kind == "Annotate" and attrs[0] == TILED
    )
    loop = next(
        out[row] for kind, inputs, _, out in instructions if kind == "GetLoops" and inputs[0] == block
    )
    tiles = next(out for kind, inputs, _, out in instructions if kind == "Split" and inputs[0] == loop)
    found: list[Any] = []
    places = {}
    for place, (kind, inputs, attrs, outputs) in enumerate(instructions):
        if place in decisions and inputs == [loop]:
            found.append(["Split", [loop, None, height], [True, False], ["tiles", "rows"]])
            decisions[place] = [count, *[1] * (len(outputs) - 1)]
        places[place] = len(found)
        if kind == "Reorder" and tiles[-1] in inputs:
            inputs = [each for one in inputs for each in ((one, "rows") if one == tiles[-1] else (one,))]
        elif kind != "GetLoops":
            inputs = ["tiles" if each == loop else each for each in inputs]
        found.append([kind, inputs, attrs, outputs])
        if kind == "Reorder" and "rows" in inputs:
            found.append(["Annotate", [tiles[1], 1], [_CUT], []])
    return [found, [[places[place], decision] for place, decision in decisions.items()]]
