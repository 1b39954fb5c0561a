"""Prefetches of the next panel of weights while a kernel multiplies by the present one (imports TVM).

Several tiles in a row read the same panel of a packed operand. Memory is idle meanwhile, and the first tile of the next
panel waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tirx

from search_spaces.tensor_ir.changed_loop import changed_loop
from search_spaces.tensor_ir.module_map import with_mapped
from search_spaces.tensor_ir.packed_panel import Panel, extent, panels

_LINE_BYTES = 64
#: What is fetched ahead must fit into a private second-level cache, beside what is in use.
_MOST_BYTES = 384 * 1024
#: With more tiles to a panel the wait for the first one is little of the whole.
_MOST_TILES = 64
_READ, _TO_SECOND_LEVEL, _DATA = 0, 2, 1


def with_prefetched_panels(module: tvm.IRModule) -> tvm.IRModule:
    """The module, ready for `LowerTVMBuiltin`, with prefetches in the innermost loops of products.

    for panel, tile, k:                      →  for panel, tile, k:
        sums[:] += x[tile, k] * w[panel, k]         prefetch(w[panel + 1, (tile * steps + k) / tiles])
                                                    sums[:] += x[tile, k] * w[panel, k]
    """
    bodies = [func.body for func in module.functions.values() if isinstance(func, tirx.PrimFunc)]
    fetches = {panel.inner[-1]: _prefetches(panel) for body in bodies for panel in panels(body)}

    def with_fetches(loop: Any) -> Any:
        statements = fetches.get(loop, ())
        if not statements:
            return loop
        return changed_loop(loop, body=tirx.SeqStmt([*statements, loop.body]))

    return with_mapped(module, tirx.For, with_fetches) if any(fetches.values()) else module


@dataclass(frozen=True)
class _Turn:
    """The loop that goes on to the next panels after `period` steps; until then `tiles` tiles read each of the present
    `panels`. tile: the number of this one among them."""

    loop: Any
    period: int
    tile: Any
    tiles: int
    panels: int


def _turn(panel: Panel) -> _Turn | None:
    """The innermost loop that goes on to panels that no tile has read; None where every tile has its own."""
    tile: Any = tirx.IntImm("int32", 0)
    tiles, count = 1, 1
    for loop in reversed(panel.outer):
        period = panel.period(loop)
        repeats = period or extent(loop)
        tile, tiles = tile + loop.loop_var % repeats * tiles, tiles * repeats
        if period and tiles > 1:
            return _Turn(loop, period, tile, tiles, count)
        count *= extent(loop) if period else 1
    return None


def _prefetches(panel: Panel) -> tuple[Any, ...]:
    """The prefetches of one step of the sum; none where no panel follows, or none is read by several tiles."""
    turn = _turn(panel)
    element_bytes = tvm.DataType(str(panel.buffer.ty.dtype)).itemsize
    size = panel.steps * panel.width
    if turn is None or turn.tiles > _MOST_TILES or turn.panels * size * element_bytes > _MOST_BYTES:
        return ()
    each = -(-panel.width // turn.tiles)
    share = panel.steps * each
    start = panel.start_after(turn.loop, turn.period)
    place = start + tirx.Min(turn.tile * share, tirx.IntImm("int32", size - share)) + panel.step * each
    lines = range(0, each, _LINE_BYTES // element_bytes)
    return tuple(_prefetch(panel.buffer, place + offset) for offset in lines)


def _prefetch(buffer: Any, place: Any) -> Any:
    address = tirx.address_of(tirx.BufferLoad(buffer, [place]))
    hints = [tirx.IntImm("int32", hint) for hint in (_READ, _TO_SECOND_LEVEL, _DATA)]
    return tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", address, *hints))
