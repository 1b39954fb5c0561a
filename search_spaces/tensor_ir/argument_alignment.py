"""Kernels that read arrays where their owner put them, at addresses that TVM would not choose (imports TVM)."""

from __future__ import annotations

from typing import Any, Final

import tvm
from tvm import tirx

from search_spaces.tensor_ir.module_map import mapped, with_programs

#: In bytes, what C libraries align large memory to; TVM's own tensors have 64.
ARGUMENT_ALIGNMENT: Final = 16
_READS_ARRAYS: Final = "autotune.reads_arrays"
_ALIGNMENT: Final = "storage_alignment"


def reading_arrays(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function, marked for `with_argument_alignment`."""
    return func.with_attr(_READS_ARRAYS, tirx.IntImm("bool", 1))


def with_argument_alignment(module: tvm.IRModule) -> tvm.IRModule:
    """The module, after `MakePackedAPI`, whose marked functions expect no more than `ARGUMENT_ALIGNMENT` of arguments.

    attr [x] "storage_alignment" = 64  →  attr [x] "storage_alignment" = 16
    """
    return with_programs(module, _aligned)


def _aligned(func: tirx.PrimFunc) -> tirx.PrimFunc:
    is_marked = func.attrs is not None and _READS_ARRAYS in func.attrs
    return mapped(func, tirx.AttrStmt, _lowered) if is_marked else func


def _lowered(statement: Any) -> Any:
    if str(statement.attr_key) != _ALIGNMENT or int(statement.value) <= ARGUMENT_ALIGNMENT:
        return statement
    alignment = tirx.IntImm("int32", ARGUMENT_ALIGNMENT)
    return tirx.AttrStmt(statement.node, _ALIGNMENT, alignment, statement.body)
