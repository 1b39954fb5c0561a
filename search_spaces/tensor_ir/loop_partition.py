"""Loops that are split where a condition in them turns false, so that only their end tests it (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import TensorLoad

from search_spaces.tensor_ir.contained_nodes import contained_nodes

#: Of a loop: makes TVM split it.
CUT = "pragma_loop_partition_hint"
_MOST_ELEMENTS = 2**31 - 1


def with_cut_loops(module: tvm.IRModule) -> tvm.IRModule:
    """The module with loop variables of 32 bits in functions with loops to cut.

    TVM narrows variables of 64 bits, as in the functions of a model, just before it splits loops: by then a loop and
    the mark on it name different variables, and the loop stays whole, its conditions within.
    """
    found = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for name, func in module.functions.items():
        if _is_to_cut(func):
            narrow = tirx.transform.ForceNarrowIndexToInt32()(tvm.IRModule({name: func}))
            found.update_func(name, narrow[name.name_hint])
    return found


def _is_to_cut(func: object) -> bool:
    if not isinstance(func, tirx.PrimFunc):
        return False
    shapes = [list(getattr(param.ty, "shape", [])) for param in func.params]
    if not all(isinstance(size, int | tirx.IntImm) for shape in shapes for size in shape):
        return False
    if any(prod(map(int, shape)) > _MOST_ELEMENTS for shape in shapes):
        return False
    # TVM offers no visitor of statements in Python.
    return CUT in func.script() and not _has_wide_data(func.body)


def _has_wide_data(body: Any) -> bool:
    """Whether a function computes with integers of 64 bits, which must not become narrower."""
    values = contained_nodes(body, tirx.Cast, TensorLoad)
    return any(str(value.ty.dtype).startswith(("int64", "uint64")) for value in values)
