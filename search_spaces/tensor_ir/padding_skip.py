"""Sums and maxima that leave out padding instead of reading it (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad

from search_spaces.tensor_ir.module_map import with_mapped

_CONDITION = "prim.if_then_else"


def with_skipped_padding(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the steps of reductions that read padding left out.

        y[i] = y[i] + if_then_else(inside, x[j], 0) * w[k]    →    if inside: y[i] = y[i] + x[j] * w[k]
        y[i] = max(y[i], if_then_else(inside, x[j], lowest))  →    if inside: y[i] = max(y[i], x[j])

    A condition of a statement is decided once for all steps that share it, and is nothing where loops are unrolled.
    Products of padding with infinite weights are left out like others, as ONNX Runtime does.
    """
    return with_mapped(module, tirx.BufferStore, _without_padding)


def _without_padding(store: Any) -> Any:
    value = store.value
    if not isinstance(value, tirx.Add | tirx.Max) or not _is_itself(value.a, store):
        return store
    inside = _inside(value.b) if isinstance(value, tirx.Add) else _inside_lowest(value.b)
    if inside is None:
        return store
    condition, read = inside
    return tirx.IfThenElse(
        condition, tirx.BufferStore(store.buffer, type(value)(value.a, read), store.indices), None
    )


def _is_itself(read: Any, store: Any) -> bool:
    return (
        isinstance(read, TensorLoad)
        and read.source.same_as(store.buffer)
        and tvm_ffi.structural_equal(read.indices, store.indices)
    )


def _inside(value: Any) -> tuple[Any, Any] | None:
    """The condition under which a summand is not zero, and what it is then; None where there is none."""
    if _is_choice(value):
        condition, read, other = value.args
        return (
            (condition, read) if isinstance(other, tirx.FloatImm | tirx.IntImm) and other.value == 0 else None
        )
    if isinstance(value, tirx.Cast):
        found = _inside(value.value)
        return None if found is None else (found[0], tirx.Cast(value.ty, found[1]))
    if isinstance(value, tirx.Mul):
        if (found := _inside(value.a)) is not None:
            return found[0], tirx.Mul(found[1], value.b)
        if (found := _inside(value.b)) is not None:
            return found[0], tirx.Mul(value.a, found[1])
    return None


def _inside_lowest(value: Any) -> tuple[Any, Any] | None:
    """The condition and the operand of a maximum whose padding is the lowest number of its type; None for others."""
    if not _is_choice(value):
        return None
    condition, read, other = value.args
    lowest = tirx.min_value(str(read.ty.dtype))
    is_lowest = isinstance(other, tirx.FloatImm | tirx.IntImm) and other.value <= lowest.value
    return (condition, read) if is_lowest else None


def _is_choice(value: Any) -> bool:
    return isinstance(value, tvm.ir.Call) and getattr(value.op, "name", "") == _CONDITION
