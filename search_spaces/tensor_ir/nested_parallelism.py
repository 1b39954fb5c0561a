"""Parallel loops inside serial ones, whose threads are woken again and again (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from search_spaces.tensor_ir.changed_loop import changed_loop
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.module_map import with_mapped
from search_spaces.tensor_ir.spatial_schedule import LEAST_STEPS


def with_worthwhile_threads(module: tvm.IRModule) -> tvm.IRModule:
    """The module with small parallel loops made serial where a serial loop is around them.

        for i in range(10556): for j in parallel(64): y[index[i], j] += x[i, j]
        →  for i in range(10556): for j in range(64): y[index[i], j] += x[i, j]

    TVM's scatters are written so; waking threads for each row took fifteen times as long as adding the row.
    """
    return with_mapped(module, tirx.For, _with_serial_body)


def _with_serial_body(loop: Any) -> Any:
    if loop.kind != tirx.ForKind.SERIAL or not _parallel_loops(loop.body):
        return loop
    body = tvm_ffi.structural_map(loop.body, (tirx.For, _serial), order="post")
    return changed_loop(loop, body=body)


def _parallel_loops(statement: Any) -> list[Any]:
    return [loop for loop in contained_nodes(statement, tirx.For) if loop.kind == tirx.ForKind.PARALLEL]


def _serial(loop: Any) -> Any:
    if loop.kind != tirx.ForKind.PARALLEL or _steps(loop) >= LEAST_STEPS:
        return loop
    return tirx.For(loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body)


def _steps(loop: Any) -> float:
    """An upper bound of the steps of a loop's body; infinite where an extent is not known."""
    extents = [one.extent for one in contained_nodes(loop, tirx.For)]
    known = all(isinstance(extent, tirx.IntImm) for extent in extents)
    return prod(map(int, extents)) if known else float("inf")
