"""Indices of blocks without the quotients and remainders that the extents of their axes decide (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import TensorLoad
from tvm.sym import Analyzer

from search_spaces.tensor_ir.module_map import with_mapped


def with_simple_indices(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each block's indices simplified by the extents of its axes.

        x[(i // 4 * 8 + i % 4) % 16]  →  x[i // 4 * 8 + i % 4]    for i < 8

    TVM binds an axis to its loops first: where a loop has a remainder, its bounds say less than the axis did.
    """
    return with_mapped(module, s_tir.SBlock, _simplified)


def within(axes: Any) -> Analyzer:
    """An analyzer that knows the extents of a block's axes."""
    analyzer = Analyzer()
    for axis in axes:
        analyzer.bind(axis.var, axis.dom)
    return analyzer


def _simplified(block: Any) -> Any:
    if not block.iter_vars:
        return block
    analyzer = within(block.iter_vars)

    def load(read: Any) -> Any:
        return tirx.BufferLoad(read.source, [analyzer.simplify(index) for index in read.indices])

    def store(written: Any) -> Any:
        return tirx.BufferStore(
            written.buffer, written.value, [analyzer.simplify(index) for index in written.indices]
        )

    body = tvm_ffi.structural_map(block.body, ((TensorLoad, load), (tirx.BufferStore, store)), order="post")
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        block.writes,
        block.name_hint,
        body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        block.annotations,
        block.span,
    )
