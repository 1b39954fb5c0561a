"""Small operands that take function calls to compute, kept apart from the products they join (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    FUSED_BEHIND,
    OPAQUE,
    PATTERN,
    is_call,
    rewritten,
    static_shape,
    uses,
)
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.stage import function_calls

# TVM's kinds of functions: up to these, elementwise operators with broadcast operands, and any rearrangement.
_BROADCAST, _INJECTIVE = 1, 2


def _with_small_operands_apart(module: tvm.IRModule, _: Any) -> tvm.IRModule:
    apart = _operands_apart(module)
    return rewritten(module, _Rewriter(module, apart)) if apart else module


#: Between `AnnotateTIROpPattern` and `FuseOps`: marks what computes an operand of the elementwise operators behind a
#: product as not to be fused with them, where it has fewer elements than they have and takes function calls.
#:
#: TVM computes these behind each tile of a product only where no stage outside its loops is stored for them:
#:
#:     y = float(x @ w + floor(bias / scale)) * scale  →  b = floor(bias / scale); y = float(x @ w + b) * scale
with_small_operands_apart = tvm.transform.module_pass(
    _with_small_operands_apart, opt_level=0, name="autotune.SmallOperands"
)


@dataclass(frozen=True)
class _Value:
    """The operators that a variable is computed with and that may become one function.

    has_product: they are a convolution or a matrix product and a chain of elementwise operators behind it; has_calls:
    one calls a function, as floor.
    """

    elements: int
    has_product: bool = False
    has_calls: bool = False


def _operands_apart(module: tvm.IRModule) -> set[Any]:
    """The variables whose operators are to be kept apart."""
    apart: set[Any] = set()
    reads = uses(module)
    for _, func in module.functions_items():
        if isinstance(func, relax.Function) and isinstance(func.body, relax.SeqExpr):
            known: dict[Any, _Value] = {}
            for binding in (each for block in func.body.blocks for each in block.bindings):
                found = _value_of(module, getattr(binding, "value", None), known)
                if found is None:
                    continue
                if found.has_product:
                    apart.update(_small(binding.value, found, known))
                known[binding.var] = replace(found, has_product=found.has_product and reads[binding.var] == 1)
    return apart


def _value_of(module: tvm.IRModule, value: Any, known: Mapping[Any, _Value]) -> _Value | None:
    """The value of a call, None where operators behind it are not fused with it."""
    func = module[value.args[0]] if is_call(value, "relax.call_tir") else None
    sizes = static_shape(value) if func is not None and isinstance(value.ty, relax.TensorType) else None
    if func is None or sizes is None:
        return None
    kind = int(func.attrs.get(PATTERN, OPAQUE))
    if kind == FUSED_BEHIND:
        return _Value(prod(sizes), has_product=True)
    if kind > _INJECTIVE:
        return None
    operands = _operands(value, known).values()
    return _Value(
        prod(sizes),
        has_product=kind <= _BROADCAST and any(each.has_product for each in operands),
        has_calls=function_calls(contained_nodes(func.body, tvm.ir.Call)) > 0
        or any(each.has_calls for each in operands),
    )


def _operands(call: Any, known: Mapping[Any, _Value]) -> dict[Any, _Value]:
    return {each: known[each] for each in call.args[1].fields if each in known}


def _small(call: Any, value: _Value, known: Mapping[Any, _Value]) -> list[Any]:
    """The operands of an operator behind a product that are to be kept apart from it."""
    operands = _operands(call, known)
    if not any(its.has_product for its in operands.values()):
        return []
    return [
        operand
        for operand, its in operands.items()
        if its.has_calls and not its.has_product and 1 < its.elements < value.elements
    ]


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Makes the tensor programs of some variables opaque."""

    def __init__(self, module: tvm.IRModule, apart: set[Any]) -> None:
        super().__init__(module)
        self._module = module
        self._apart = apart

    def visit_var_binding_(self, binding: Any) -> None:
        """Visits a binding; one of those variables is bound to a call of an opaque copy of its function."""
        if binding.var not in self._apart:
            super().visit_var_binding_(binding)
            return
        call = self.visit_expr(binding.value)
        func = self._module[binding.value.args[0]].with_attr(PATTERN, OPAQUE)
        name = self.builder_.add_func(func, binding.value.args[0].name_hint)
        value = relax.Call(call.op, [name, *call.args[1:]], call.attrs, call.ty_args)
        self.set_var_remap(binding.var, self.builder_.emit(value))
