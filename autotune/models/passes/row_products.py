"""Products of single rows with transposed matrices, as products of the matrices with columns (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, is_constant, rewritten, static_shape


def with_row_products(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the scores of one token computed from the keys as they are, which are a cache.

        scores[1, 32, 1, 2048] = query[1, 32, 1, 128] @ permute_dims(keys[1, 32, 2048, 128])
        →  reshape(keys @ reshape(query))

    The transposed keys are written once and read once: they take longer than the product. A query and scores of another
    shape move nothing.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the reshaped product with a column."""
        call = self.visit_expr_post_order(call)
        if not is_call(call, "relax.matmul"):
            return call
        row, transposed = call.args
        shape, result = static_shape(row), static_shape(call)
        matrix = self._rows(transposed)
        if matrix is None or shape is None or result is None or len(shape) < 2 or shape[-2] != 1:
            return call
        column = self.builder_.emit(relax.op.reshape(row, (*shape[:-2], shape[-1], 1)))
        product = self.builder_.emit(relax.op.matmul(matrix, column, call.attrs.out_dtype or None))
        return relax.op.reshape(product, result)

    def _rows(self, transposed: Any) -> Any:
        """The matrix whose rows lie one after the other, of which this is the transposed one; None for any other."""
        call = bound(transposed, self.lookup_binding)
        if not is_call(call, "relax.permute_dims") or is_constant(call, self.lookup_binding):
            return None
        axes = [int(axis) for axis in call.attrs.axes or ()]
        if len(axes) < 2 or axes[-2] != len(axes) - 1:
            return None
        swapped = [*axes[:-2], axes[-1], axes[-2]]
        if swapped == sorted(swapped):
            return call.args[0]
        return self.builder_.emit(relax.op.permute_dims(call.args[0], swapped))
