"""Operands of a reduction: copies of those whose columns lie apart, and what cores share of them (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import s_tir

from search_spaces.tensor_ir.spatial_schedule import schedule_spatial
from search_spaces.tensor_ir.stage import Axis, Stage, is_contiguous, is_var, period, read_stage, uses
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: How often an element has to be read for a copy of the whole operand in another order to pay.
_LEAST_REUSE = 4
#: The same for a copy of some columns: what fits into the first cache as it is needs none.
_LEAST_PANEL_REUSE = 32
_LEAST_BYTES = 1 << 16
_ELEMENT_BYTES = 4


def reads_vectors(stage: Stage, column: Axis) -> bool:
    """Whether neighbouring columns lie together, or are the same, in all that is read."""
    piece = piece_of(stage, column)
    return all(
        is_contiguous(indices, column, piece) for source, indices in stage.reads if not is_own(stage, source)
    )


def piece_of(stage: Stage, column: Axis) -> int:
    """The columns among which a tile may lie: those of one group."""
    return period((index for _, indices in stage.reads for index in indices), column)


def is_own(stage: Stage, buffer: Any) -> bool:
    """Whether it is the buffer of the stage's sums."""
    return bool(buffer.same_as(stage.buffer))


def transpose_operands(schedule: s_tir.Schedule, stage: Stage, column: Axis, unit: VectorUnit) -> bool:
    """Copies each operand whose columns do not lie together to where they do; False where that does not pay."""
    piece = piece_of(stage, column)
    places = [
        (place, [dim for dim, index in enumerate(indices) if uses(index, column)])
        for place, (_, indices) in enumerate(stage.reads)
        if not is_contiguous(indices, column, piece)
    ]
    for place, dims in places:
        source, indices = stage.reads[place]
        reuse = _reuse(stage, source)
        if reuse < _LEAST_REUSE or len(dims) != 1 or not is_var(indices[dims[0]], column):
            return False
    for place, (dim,) in places:
        copy = schedule.cache_read(stage.block, place, "global")
        schedule.transform_layout(copy, ("write", 0), _to_the_end(dim))
        copied = read_stage(schedule, copy)
        if copied is not None:
            schedule_spatial(schedule, copied, unit)
    return True


def operand_to_pack(stage: Stage, column: Axis, width: int) -> int | None:
    """The read whose columns are worth a copy of their own, so that they are read in order and not row by row.

    That is, for each tile of so many columns, an operand with long rows that is read again for many rows of results.
    """
    for place, (source, indices) in enumerate(stage.reads):
        others = [axis for axis in stage.spatial if axis is not column and not axis.is_unit]
        if (
            not is_own(stage, source)
            and indices
            and is_var(indices[-1], column)
            and not any(uses(index, axis) for index in indices for axis in others)
            and any(uses(index, axis) for index in indices for axis in stage.reductions)
            and _reuse(stage, source) >= _LEAST_PANEL_REUSE
            and _size(source) * _ELEMENT_BYTES >= _LEAST_BYTES
            and (column.extent or 0) > width
        ):
            return place
    return None


def _reuse(stage: Stage, source: Any) -> int:
    """The number of times each element is read, 0 where it is dynamic."""
    size = _size(source)
    return stage.steps // size if stage.steps and size else 0


def _size(buffer: Any) -> int:
    return prod(int(extent) if hasattr(extent, "value") else 0 for extent in buffer.shape)


def _to_the_end(dim: int) -> Any:
    """A map of indices that makes one of them the last."""
    return lambda *indices: [*indices[:dim], *indices[dim + 1 :], indices[dim]]


def shares_rows(stage: Stage, column: Axis) -> bool:
    """Whether cores had better share the rows than the columns: those of other kernels read less from each other."""
    by_columns = sum(
        _elements(source) for source, read in stage.reads if any(uses(each, column) for each in read)
    )
    by_rows = sum(
        _elements(source)
        for source, read in stage.reads
        if any(uses(each, axis) for each in read for axis in stage.spatial if axis is not column)
    )
    return by_rows + (stage.points or 0) > by_columns


def _elements(buffer: Any) -> int:
    return prod(int(size) for size in buffer.shape if hasattr(size, "value"))
