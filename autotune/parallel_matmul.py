"""A small matmul that never changes, on one thread or on all of them: what machines are judged by (imports TVM)."""

from __future__ import annotations

import tvm
from tvm import te
from tvm.s_tir import Schedule

from search_spaces.modules import normalize


def serial_matmul(size: int) -> tvm.IRModule:
    """size × size in float32, columns in vectors of 16."""
    return _rows_by_vectors(size).mod


def parallel_matmul(size: int) -> tvm.IRModule:
    """The same, its rows shared out among all threads."""
    schedule = _rows_by_vectors(size)
    row, *_ = schedule.get_loops(schedule.get_sblock("product"))
    schedule.parallel(row)
    return schedule.mod


def _rows_by_vectors(size: int) -> Schedule:
    left = te.placeholder((size, size), name="left")
    right = te.placeholder((size, size), name="right")
    k = te.reduce_axis((0, size), name="k")
    product = te.compute((size, size), lambda i, j: te.sum(left[i, k] * right[k, j], axis=k), name="product")
    schedule = Schedule(normalize(te.create_prim_func([left, right, product])))
    row, column, reduction = schedule.get_loops(schedule.get_sblock("product"))
    outer, inner = schedule.split(column, [None, 16])
    schedule.reorder(row, outer, reduction, inner)
    schedule.vectorize(inner)
    return schedule
