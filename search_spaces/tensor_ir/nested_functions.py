"""Arguments of functions of functions, in buffers of their own (imports TVM)."""

from __future__ import annotations

from itertools import count
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.float_lanes import LANES
from search_spaces.tensor_ir.module_map import with_mapped
from search_spaces.tensor_ir.vector_math import has_vector_rule

_CONDITION = "prim.if_then_else"


def with_stored_arguments(module: tvm.IRModule) -> tvm.IRModule:
    """The module, ready for `LowerIntrin`, in which no function with vector code is of another such function.

    y[i] = tanh(log(exp(x[i]) + 1))  →  a[0] = exp(x[i]) + 1; b[0] = log(a[0]); y[i] = tanh(b[0])

    TVM puts values in the place of their variables while it simplifies what `LowerIntrin` makes of a function: the
    work, a minute for Mish, grows by the depth's power. LLVM keeps the buffers in registers.
    """
    return with_mapped(module, tirx.BufferStore, _with_stored_arguments)


def _with_stored_arguments(store: Any) -> Any:
    if contained_nodes(store.value, tirx.Let):  # its variables are known inside only
        return store
    conditional = _conditional_calls(store.value)
    numbers = count()
    stores: list[Any] = []

    def with_stored_argument(call: Any) -> Any:
        if not has_vector_rule(call) or call in conditional or not _has_function(call.args[0]):
            return call
        before, load = _stored(call.args[0], f"{store.buffer.name}_argument_{next(numbers)}")
        stores.extend(before)
        return tirx.call_intrin(call.ty.dtype, call.op, load, *call.args[1:])

    value = tvm_ffi.structural_map(store.value, (tvm.ir.Call, with_stored_argument), order="post")
    if not stores:
        return store
    return tirx.SeqStmt([*stores, tirx.BufferStore(store.buffer, value, store.indices)])


def _stored(value: Any, name: str) -> tuple[list[Any], Any]:
    """The statements that store a value in a new buffer, and what loads it again."""
    base, _, lanes = str(value.ty.dtype).partition(LANES)
    size = int(lanes or 1)
    buffer = tirx.decl_buffer((size,), base, name, scope="local")
    zero = tirx.IntImm("int32", 0)
    place = [tirx.Ramp(zero, tirx.IntImm("int32", 1), size) if lanes else zero]
    stores = [tirx.AllocBuffer(buffer), tirx.BufferStore(buffer, value, place)]
    return stores, tirx.BufferLoad(buffer, place)


def _has_function(value: Any) -> bool:
    return any(map(has_vector_rule, contained_nodes(value, tvm.ir.Call)))


def _conditional_calls(value: Any) -> set[Any]:
    """The calls whose arguments may be read under a condition only."""
    conditions = (
        call for call in contained_nodes(value, tvm.ir.Call) if getattr(call.op, "name", "") == _CONDITION
    )
    return {call for condition in conditions for call in contained_nodes(condition, tvm.ir.Call)}
