"""The reference kernel, a small matmul on one thread or on all of them, by which devices are judged (imports TVM)."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import tvm
from tvm import te
from tvm.s_tir import Schedule

from autotune.measurement.stopwatch import Run
from search_spaces.tensor_ir.modules import normalize


def serial_matmul(size: int) -> tvm.IRModule:
    """A matmul, size × size in float32, on one thread; columns in vectors of 16."""
    return _rows_by_vectors(size).mod


def parallel_matmul(size: int) -> tvm.IRModule:
    """The matmul of `serial_matmul` with its rows distributed over all threads."""
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


#: The mean seconds of one call, over a batch of calls.
TimedBatch = Callable[[], float]

#: Rows and columns of the kernel, a matmul.
SIZE: Final = 192
# A batch is long against what waking a thread takes, and a few of them are short against a trial.
_BATCH_SECS = 0.002


def timed_batch(run: Run) -> TimedBatch:
    """A batch of as many calls as take about 2 ms here."""
    run(1)
    number = max(1, round(_BATCH_SECS / run(20)))
    return lambda: run(number)


def reference_secs(batch: TimedBatch, repeats: int) -> float:
    """The median of repeated batches, after one that warms up."""
    batch()
    return statistics.median(batch() for _ in range(repeats))


def speedup(alone: TimedBatch, together: TimedBatch, pairs: int) -> float:
    """The speedup of one batch over another, each at its fastest, in turns."""
    secs = [(alone(), together()) for _ in range(pairs)]
    return min(one for one, _ in secs) / min(other for _, other in secs)
