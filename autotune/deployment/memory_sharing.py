"""Analysis of what a scheduled model's functions share with their caller (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tvm
from tvm import relax

from autotune.deployment.call_memory import CallMemory
from autotune.models.passes.rewriting import is_call
from search_spaces.tensor_ir.argument_alignment import ARGUMENT_ALIGNMENT, reading_arrays
from search_spaces.tensor_ir.module_map import with_programs

#: Values by the variable that they are bound to.
_Bindings = Mapping[Any, Any]


def call_memory(module: tvm.IRModule) -> CallMemory:
    """The memory that calls of a module's functions share; views are reshapes in it, and not calls of kernels."""
    own = {
        str(name.name_hint): tuple(_own_outputs(func))
        for name, func in module.functions.items()
        if isinstance(func, relax.Function)
    }
    return CallMemory(ARGUMENT_ALIGNMENT, {name: places for name, places in own.items() if places})


def reading_inputs_in_place(module: tvm.IRModule) -> tvm.IRModule:
    """The module whose kernels take inputs of functions at any address that `call_memory` allows."""
    reading = {module[name] for func in module.functions.values() for name in _kernels_of_inputs(func)}
    return with_programs(module, lambda func: reading_arrays(func) if func in reading else func)


def _own_outputs(func: relax.Function) -> Iterator[int]:
    bindings = _bindings(func)
    body = func.body.body
    returned = bindings.get(body, body)
    outputs = list(returned.fields) if isinstance(returned, relax.Tuple) else [body]
    seen = []
    for place, output in enumerate(outputs):
        root, index = _root(output, bindings)
        if is_call(bindings.get(root), "relax.call_tir") and (root, index) not in seen:
            seen.append((root, index))
            yield place


def _kernels_of_inputs(func: Any) -> Iterator[tvm.ir.GlobalVar]:
    """The kernels that read a parameter of a function, as it is or reshaped."""
    if not isinstance(func, relax.Function):
        return
    bindings, params = _bindings(func), set(func.params)
    for value in bindings.values():
        if not is_call(value, "relax.call_tir"):
            continue
        if any(_root(one, bindings)[0] in params for one in value.args[1].fields):
            yield value.args[0]


def _bindings(func: relax.Function) -> dict[Any, Any]:
    return {binding.var: binding.value for block in func.body.blocks for binding in block.bindings}


def _root(value: Any, bindings: _Bindings) -> tuple[Any, int]:
    """The value that a value is a view of, and the place in it where that is a tuple."""
    index = 0
    while True:
        found = bindings.get(value, value)
        if isinstance(found, relax.TupleGetItem):
            value, index = found.tuple_value, int(found.index)
        elif is_call(found, "relax.reshape"):
            value = found.args[0]
        elif isinstance(found, relax.Var) and not found.same_as(value):
            value = found
        else:
            return value, index
