"""Constant weights in the order in which a register tile reads them, packed ahead of time (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.tensor_ir.stage import Axis, Stage, is_var, uses

#: What TVM's build splits off and computes once.
_PREPACKED = "meta_schedule.layout_rewrite_preproc"
#: Smaller weights stay in the first cache in any order.
_LEAST_BYTES = 1 << 13
_ELEMENT_BYTES = 4


def pack_weights(schedule: s_tir.Schedule, stage: Stage, column: Axis, width: int) -> bool:
    """Packs the weights that a stage reads along its columns; whether there are any.

    ``(K, N)`` → ``(N / width, K, width)``, dimensions that are results' too, as of a batch, before them. Only weights
    whose layout is free, that are read as they are, and whose columns make whole tiles.
    """
    found = _weights(schedule, stage, column, width)
    if found is None:
        return False
    place, indices = found
    outer = [dim for dim, index in enumerate(indices[:-1]) if not _is_reduced(stage, index)]
    inner = [dim for dim in range(len(indices) - 1) if dim not in outer]

    def packed(*at: Any) -> list[Any]:
        return [*(at[dim] for dim in outer), at[-1] // width, *(at[dim] for dim in inner), at[-1] % width]

    copy = schedule.cache_read(stage.block, place, "global")
    schedule.transform_layout(copy, ("write", 0), packed)
    schedule.annotate(copy, _PREPACKED, True)
    return True


def _weights(
    schedule: s_tir.Schedule, stage: Stage, column: Axis, width: int
) -> tuple[int, tuple[Any, ...]] | None:
    """The place among the stage's reads of weights worth packing, and the indices at which it reads them."""
    func = schedule.mod["main"]
    free = [func.params[int(place)] for place in (func.attrs or {}).get("layout_free_buffers", ())]
    if column.extent is None or column.extent % width or column.extent == width:
        return None
    for place, (source, indices) in enumerate(stage.reads):
        is_free = any(source.same_as(one) for one in free)
        if is_free and _is_worth_packing(source) and is_var(indices[-1], column):
            others = [index for index in indices[:-1] if uses(index, column)]
            if not others and any(_is_reduced(stage, index) for index in indices):
                return place, indices
    return None


def _is_worth_packing(source: Any) -> bool:
    sizes = list(source.shape)
    is_static = all(isinstance(size, tvm.tirx.IntImm) for size in sizes)
    return is_static and _ELEMENT_BYTES * prod(map(int, sizes)) >= _LEAST_BYTES


def _is_reduced(stage: Stage, index: Any) -> bool:
    return any(uses(index, axis) for axis in stage.reductions)
