"""A small matmul that uses every thread and never changes: what machines are judged by (imports TVM)."""

from __future__ import annotations

from tvm import te
from tvm.s_tir import Schedule

from search_spaces import modules
from search_spaces.config import Config
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask


def parallel_matmul(target: Target, size: int) -> Candidate:
    """size × size in float32: rows in parallel, columns in vectors of 16."""
    left = te.placeholder((size, size), name="left")
    right = te.placeholder((size, size), name="right")
    k = te.reduce_axis((0, size), name="k")
    product = te.compute((size, size), lambda i, j: te.sum(left[i, k] * right[k, j], axis=k), name="product")
    module = modules.normalize(te.create_prim_func([left, right, product]))
    schedule = Schedule(module)
    row, column, reduction = schedule.get_loops(schedule.get_sblock("product"))
    outer, inner = schedule.split(column, [None, 16])
    schedule.reorder(row, outer, reduction, inner)
    schedule.parallel(row)
    schedule.vectorize(inner)
    task = TuningTask(modules.workload(module, "parallel-matmul"), target)
    return Candidate(task, Config((("sketch", "parallel"),)), schedule)
