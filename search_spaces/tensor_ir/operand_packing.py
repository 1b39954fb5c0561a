"""Sketches that copy an operand's columns together before they are read again and again (imports TVM).

A matrix product reads a few columns of one operand for every row of the other. Where its rows are long, each of those
short pieces lies in another page and competes for the same few sets of the cache. Packed once for each parallel task,
they are read in order: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import tvm
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.fresh_schedule import fresh_schedule

#: Marks the block that a sketch tiles into levels.
TILED = "meta_schedule.tiling_structure"
#: What fits into the fastest cache as it is, and rows that are hardly longer than what is read of them, need no copy.
_LEAST_BYTES = 1 << 17
_LEAST_ROW = 65
#: How often an element has to be read for its copy to pay.
_LEAST_REUSE = 32
SPATIAL = int(tvm.tirx.IterVar.DataPar)


def with_packed_operand(module: tvm.IRModule, traces: Iterable[Any]) -> list[Any]:
    """For each trace that tiles one block into levels: the same, with the block's packed operand, if it has one."""
    packed = (_packed(module, trace) for trace in traces)
    return [trace for trace in packed if trace is not None]


class PackedPanels:
    """A postprocessor that lays a packed operand out in panels as wide as the vectors that are read of it.

    B[k, j]  →  B[j // 16, k, j % 16]: what a tile reads for one row follows what it read for the row before, and what
    the other tiles of its task read is not in between.
    """

    def apply(self, schedule: Any) -> bool:
        """Rewrites the schedule; it cannot fail."""
        for each in schedule.trace.insts:
            if each.kind.name == "CacheRead":
                _lay_out_in_panels(schedule, each.outputs[0])
        return True


def _lay_out_in_panels(schedule: Any, copy: Any) -> None:
    """Changes the layout of a copy whose panels are whole."""
    [product] = schedule.get_consumers(copy)
    width = _extent(schedule, schedule.get_loops(product)[-1])
    last = schedule.get_loops(copy)[-1]
    columns = int(schedule.get(copy).writes[0].source.shape[-1])
    if width == 1 or columns % width or _extent(schedule, last) % width:
        return
    schedule.split(last, [None, width])
    schedule.transform_layout(copy, ("write", 0), lambda *at: (at[-1] // width, *at[:-1], at[-1] % width))


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _packed(module: tvm.IRModule, trace: Any) -> Any:
    name = tiled_block(trace)
    schedule = fresh_schedule(module)
    operand = None if name is None else _operand(module["main"], schedule.get(schedule.get_sblock(name)))
    if operand is None:
        return None
    trace.apply_to_schedule(schedule, remove_postproc=True)
    block = schedule.get_sblock(name)
    spatial = sum(int(each.iter_type) == SPATIAL for each in schedule.get(block).iter_vars)
    copy = schedule.cache_read(block, operand, "global")
    schedule.compute_at(copy, schedule.get_loops(block)[spatial - 1])
    return schedule.trace


def tiled_block(trace: Any) -> str | None:
    """The name of the one block that the trace tiles into levels."""
    instructions = list(trace.insts)
    tiled = [
        each.inputs[0]
        for each in instructions
        if each.kind.name == "Annotate" and str(each.attrs[0]) == TILED
    ]
    named = [
        str(each.attrs[0])
        for each in instructions
        if each.kind.name == "GetSBlock" and any(each.outputs[0].same_as(block) for block in tiled)
    ]
    return named[0] if len(tiled) == len(named) == 1 else None


def _operand(func: tvm.tirx.PrimFunc, block: Any) -> int | None:
    """The block's read that is worth a copy: its last dimension is the block's last spatial axis, it is reduced
    along another, and all of it is read for each step of a third axis."""
    free = {int(index) for index in (func.attrs or {}).get("layout_free_buffers", ())}
    fixed = [buffer for index, buffer in enumerate(func.params) if index not in free]
    spatial = [each for each in block.iter_vars if int(each.iter_type) == SPATIAL]
    reduced = [each for each in block.iter_vars if int(each.iter_type) != SPATIAL]
    for place, read in enumerate(block.reads):
        sizes = [int(size) for size in read.source.shape]
        if (
            not any(read.source.same_as(buffer) for buffer in fixed)
            or 4 * prod(sizes) < _LEAST_BYTES
            or sizes[-1] < _LEAST_ROW
        ):
            continue
        starts = [each.min for each in read.region]
        reuse = prod(int(axis.dom.extent) for axis in spatial if not uses(starts, axis.var))
        is_column = starts[-1].same_as(spatial[-1].var)
        if is_column and any(uses(starts[:-1], axis.var) for axis in reduced) and reuse >= _LEAST_REUSE:
            return place
    return None


def uses(starts: Iterable[Any], axis: Any) -> bool:
    """Whether one of the indices depends on the axis's variable."""
    return any(axis.same_as(var) for start in starts for var in undefined_vars(start))
