"""Products whose columns do not fill vectors, computed with columns of zeros beside them (imports TVM)."""

from __future__ import annotations

from math import ceil
from typing import Any

from tvm import s_tir, tirx

from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.stage import Axis, Stage, is_var, volume
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Rows of results for each of which a copied element is read; with fewer the copy costs more than it saves.
_LEAST_ROWS = 16
#: With fewer vectors one more is too much.
_LEAST_VECTORS = 7


def pad_columns(schedule: s_tir.Schedule, stage: Stage, column: Axis, unit: VectorUnit) -> bool:
    """Pads a product to whole vectors of columns; False where they are whole, too few, or TVM cannot.

    ``C[i, j] += A[i, k] * B[k, j]`` with 197 columns → the same with 208, of which 197 are kept; B is copied once.
    Where scalars are loaded by instructions of their own, tiles are to be two or three vectors wide.
    """
    if column.extent is None or column.extent < unit.lanes:
        return False
    multiple = _multiple(column.extent, unit)
    if column.extent % multiple == 0:
        return False
    operands = [indices for _, indices in stage.reads if any(is_var(index, column) for index in indices)]
    used = [index for indices in operands for index in indices]
    rows = [axis for axis in stage.spatial if not any(is_var(index, axis) for index in used)]
    if (volume(rows) or 0) < _LEAST_ROWS:
        return False
    try:
        schedule.pad_einsum(stage.block, [multiple if axis is column else 1 for axis in stage.axes])
    except (RuntimeError, ValueError):
        return False  # a convolution, for one, which is no plain product
    [cut] = schedule.get_consumers(stage.block)
    if schedule.get_consumers(cut):
        schedule.compute_inline(cut)
    for block in schedule.get_producers(stage.block):
        if _is_padded(schedule, block, column):
            _vectorize_copy(schedule, block, unit)
    return True


def _multiple(columns: int, unit: VectorUnit) -> int:
    """The number of columns of which a multiple is computed."""
    vectors = ceil(columns / unit.lanes)
    is_wide = vectors % 2 == 0 or vectors % 3 == 0
    if unit.spreads_operands or is_wide or vectors < _LEAST_VECTORS:
        return unit.lanes
    return 2 * unit.lanes


def _is_padded(schedule: s_tir.Schedule, block: Any, column: Axis) -> bool:
    """Whether a block copies an operand with more columns than the product had."""
    columns = schedule.get(block).writes[0].source.shape[-1]
    return isinstance(columns, tirx.IntImm) and int(columns) != column.extent


def _vectorize_copy(schedule: s_tir.Schedule, block: Any, unit: VectorUnit) -> None:
    """Vectors of a copy with zeros at the end of its rows, which run in parallel."""
    *outer, last = schedule.get_loops(block)
    extent = int(schedule.get(last).extent)
    vectors, lanes = schedule.split(last, [ceil(extent / unit.lanes), unit.lanes])
    schedule.annotate(vectors, CUT, 1)
    schedule.vectorize(lanes)
    if outer:
        schedule.parallel(schedule.fuse(*outer) if len(outer) > 1 else outer[0])
