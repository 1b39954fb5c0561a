"""Sum, Max and Min of several tensors as chains of pairwise operations (imports TVM)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten

_PAIRWISE: dict[str, Callable[[Any, Any], Any]] = {
    "relax.sum": relax.op.add,
    "relax.max": relax.op.maximum,
    "relax.min": relax.op.minimum,
}


def with_pairwise_operations(module: tvm.IRModule) -> tvm.IRModule:
    """The module with reductions over freshly stacked tensors written as additions, maxima and minima of two.

    TVM's importer stacks the operands of these ONNX operators in memory, where a pairwise operation would be fused
    into what computes its operands: it is the residual connection of many networks.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the chain of operations that replaces it."""
        call = self.visit_expr_post_order(call)
        operation = _PAIRWISE.get(getattr(call.op, "name", ""))
        if operation is None or call.attrs.keepdims or [int(axis) for axis in call.attrs.axis or []] != [0]:
            return call
        stack = bound(call.args[0], self.lookup_binding)
        if not is_call(stack, "relax.stack") or int(stack.attrs.axis or 0) != 0:
            return call
        fields = bound(stack.args[0], self.lookup_binding)
        if not isinstance(fields, relax.Tuple):
            return call
        operands = [self._without_broadcast(field) for field in fields.fields]
        return functools.reduce(lambda left, right: self.builder_.emit(operation(left, right)), operands)

    def _without_broadcast(self, operand: Any) -> Any:
        """The operand itself where the importer broadcast it to the shape that it had."""
        value = bound(operand, self.lookup_binding)
        if not is_call(value, "relax.broadcast_to"):
            return operand
        before = value.args[0]
        return before if tvm_ffi.structural_equal(before.ty.shape, operand.ty.shape) else operand
