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
from tvm.s_tir.schedule import Instruction, InstructionKind, LoopRV, Trace

from search_spaces.tensor_ir.fresh_schedule import fresh_schedule
from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.operand_packing import SPATIAL, tiled_block, uses
from search_spaces.tensor_ir.register_blocking import VECTORS, idle_rows, tile_heights
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Of the rows, how many more the last tile could have in the time that it takes.
_MOST_IDLE = 0.08
#: The time of a load beside a multiply-add's, most of which it runs next to.
_LOAD_COST = 0.5


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
    schedule = fresh_schedule(module)
    found = _row_and_tiles(schedule.get(schedule.get_sblock(name)), unit)
    return None if found is None else _cut(trace, name, *found)


def _row_and_tiles(block: Any, unit: VectorUnit) -> tuple[int, int, int] | None:
    """The block's axis to split, with the number and height of its tiles; None where tiles that divide its rows do
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

    def secs_a_row(cut: tuple[int, int]) -> float:
        extent, height = rows[cut[0]], cut[1]
        loads = (height + VECTORS) / (height * VECTORS)
        return (1 + idle_rows(extent % height) / extent) * (1 + _LOAD_COST * loads)

    row, height = min(fitting, key=secs_a_row)
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


def _cut(trace: Any, block: str, row: int, count: int, height: int) -> Any:
    """The trace with the block's rows split first: rewritten, as scheduling loops with a condition takes TVM 25 ms."""
    blocks = [
        each.outputs[0] for each in trace.insts if _is(each, "GetSBlock") and str(each.attrs[0]) == block
    ]
    loop = next(each.outputs[row] for each in trace.insts if _is(each, "GetLoops", *blocks))
    levels = next(each.outputs for each in trace.insts if _is(each, "Split", loop))
    tiles, rows = LoopRV(), LoopRV()
    found: list[Instruction] = []
    decisions = {}
    has_levels = False
    for each in trace.insts:
        inputs, outputs = list(each.inputs), list(each.outputs)
        decision = trace.decisions.get(each)
        if _is(each, "Reorder", levels[-1]):
            inputs = [new for old in inputs for new in ([old, rows] if levels[-1].same_as(old) else [old])]
            has_levels = True
        elif _is(each, "GetLoops", *blocks) and has_levels:
            outputs.append(LoopRV())
        elif decision is not None and _is(each, each.kind.name, loop):
            found.append(_instruction("Split", [loop, None, height], [True, False], [tiles, rows]))
            decision = [count, *[1] * (len(outputs) - 1)]
        inputs = [tiles if loop.same_as(one) else one for one in inputs]
        found.append(Instruction(each.kind, inputs, each.attrs, outputs))
        if decision is not None:
            decisions[found[-1]] = decision
        if _is(each, "Reorder", levels[-1]):
            found.append(_instruction("Annotate", [levels[1], 1], [CUT], []))
    return Trace(found, decisions)


def _is(instruction: Instruction, kind: str, *operands: Any) -> bool:
    """Whether it is of that kind and takes one of the operands, if there are any."""
    if instruction.kind.name != kind:
        return False
    return not operands or any(each.same_as(one) for each in operands for one in instruction.inputs)


def _instruction(kind: str, inputs: list[Any], attrs: list[Any], outputs: list[Any]) -> Instruction:
    return Instruction(InstructionKind.get(kind), inputs, attrs, outputs)
