"""Axes counted from the front, which is how TVM's layout conversion reads them (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import is_call, permutation, rewritten


def with_counted_axes(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the axes of squeezes, permutations and stacks counted from the front.

        squeeze(x, axis=[-2])  →  squeeze(x, axis=[2])    of x[16, 128, 1, 1]

    The conversion fails at one that is counted from the back, and convolutions before it kept their channels first.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the same with other numbers for its axes."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.squeeze") and call.attrs.axis:
            return _recounted(call, [int(axis) for axis in call.attrs.axis], relax.op.squeeze)
        if is_call(call, "relax.permute_dims"):
            return _recounted(call, permutation(call), relax.op.permute_dims)
        if is_call(call, "relax.stack"):
            return _recounted(
                call, [int(call.attrs.axis)], lambda all_of, axes: relax.op.stack(all_of, axes[0])
            )
        return call


def _recounted(call: Any, axes: list[int], make: Callable[[Any, list[int]], Any]) -> Any:
    if not any(axis < 0 for axis in axes):
        return call
    rank = len(call.ty.shape) if is_call(call, "relax.stack") else len(call.args[0].ty.shape)
    return make(call.args[0], [axis % rank for axis in axes])
