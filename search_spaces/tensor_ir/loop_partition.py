"""Loops that are split where a condition in them turns false, so that only their end tests it (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import TensorLoad
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.substitution import substituted

#: Of a loop: makes TVM split it.
CUT = "pragma_loop_partition_hint"
_MOST_ELEMENTS = 2**31 - 1
_COMPARISONS = (tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.EQ, tirx.NE)


def with_cut_loops(module: tvm.IRModule) -> tvm.IRModule:
    """The module with loop variables of 32 bits in functions with loops to cut; where 64 are needed, no loop is cut.

    TVM narrows variables of 64 bits, as in the functions of a model, just before it splits loops: by then a loop and
    the mark on it name different variables, and the loop stays whole, its conditions within. Of a loop that it does not
    narrow it makes expressions of mixed types, and then refuses them.
    """
    found = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for name, func in module.functions.items():
        if not _has_mark(func):
            continue
        if not _is_narrow(func):
            found.update_func(name, _with_loops(func, _unmarked))
            continue
        cut = tvm.IRModule({name: _without_shifted_cuts(func)})
        found.update_func(name, tirx.transform.ForceNarrowIndexToInt32()(cut)[name.name_hint])
    return found


def _with_loops(func: tirx.PrimFunc, change: Callable[[Any], Any]) -> tirx.PrimFunc:
    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.For, change), order="post"))


def _unmarked(loop: Any) -> Any:
    if CUT not in loop.annotations:
        return loop
    others = {name: value for name, value in loop.annotations.items() if name != CUT}
    return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, loop.body, loop.thread_binding, others)


def _has_mark(func: object) -> bool:
    # TVM offers no visitor of statements in Python.
    return isinstance(func, tirx.PrimFunc) and CUT in func.script()


def _without_shifted_cuts(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with loops unmarked whose conditions turn false at a step that loops around them decide.

    TVM takes for granted that there is such a step: with

    for row, column: y[row, column] = a[...] if 38 <= 19 * row + column else b[...]

    row 0 is given 38 columns in place of its 19.
    """
    loops = contained_nodes(func.body, tirx.For)
    single = {loop.loop_var for loop in loops if _is_one(loop.extent)}

    def without_shifted_mark(loop: Any) -> Any:
        is_kept = CUT not in loop.annotations or _is_cut_at_one_step(loop, single)
        return loop if is_kept else _unmarked(loop)

    return _with_loops(func, without_shifted_mark)


def _is_one(extent: Any) -> bool:
    return isinstance(extent, tirx.IntImm) and int(extent) == 1


def _is_cut_at_one_step(loop: Any, single: set[Any]) -> bool:
    """Whether no condition has the loop's variable and one of a loop around it, but for loops of a single step."""
    inner = {each.loop_var for each in contained_nodes(loop.body, tirx.For)}
    known = {loop.loop_var} | inner | single
    found = (set(undefined_vars(condition)) for condition in _conditions(loop.body))
    return all(known.issuperset(variables) for variables in found if loop.loop_var in variables)


def _conditions(body: Any) -> Iterator[Any]:
    """The comparisons in a loop's body, as functions of loop variables."""
    values: dict[Any, Any] = {}
    for block in reversed(contained_nodes(body, s_tir.SBlockRealize)):  # outer ones first
        for axis, value in zip(block.block.iter_vars, block.iter_values, strict=True):
            values[axis.var] = substituted(value, values)
    return (substituted(each, values) for each in contained_nodes(body, *_COMPARISONS))


def _is_narrow(func: tirx.PrimFunc) -> bool:
    """Whether 32 bits are enough for all places and values."""
    shapes = [list(getattr(param.ty, "shape", [])) for param in func.params]
    if not all(isinstance(size, int | tirx.IntImm) for shape in shapes for size in shape):
        return False
    return all(prod(map(int, shape)) <= _MOST_ELEMENTS for shape in shapes) and not _has_wide_data(func.body)


def _has_wide_data(body: Any) -> bool:
    """Whether a function computes with integers of 64 bits, other than truth values, which must not become narrower."""
    loads = contained_nodes(body, TensorLoad)
    casts = [cast for cast in contained_nodes(body, tirx.Cast) if str(cast.value.ty.dtype) != "bool"]
    return any(str(value.ty.dtype).startswith(("int64", "uint64")) for value in (*loads, *casts))
