"""Products of half floats on CPUs with operands that are widened once, not in every step (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.float32_sums import HALVES, WIDE, WITH_OUT_DTYPE, dtype_of, summed_in_float32
from autotune.models.passes.rewriting import bound, rewritten, static_shape

# Products of fewer rows take the time in which their weights are read, and wide ones are twice as large.
_FEWEST_ROWS = 8


def with_wide_operands(module: tvm.IRModule) -> tvm.IRModule:
    """The module with convolutions and products of half floats, which are summed in float32, of operands in float32.

    ``matmul(x, w, out_dtype=float32)`` → ``matmul(astype(x, float32), w')`` with ``w'`` widened here. Products of a
    few rows stay.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._wide: dict[Any, Any] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or that of wide operands."""
        call = self.visit_expr_post_order(call)
        name = getattr(call.op, "name", "")
        if name not in WITH_OUT_DTYPE or dtype_of(call) != WIDE:
            return call
        if not any(dtype_of(each) in HALVES for each in call.args) or (
            name == "relax.matmul" and _rows(call) < _FEWEST_ROWS
        ):
            return call
        return summed_in_float32(call, map(self._widened, call.args))

    def _widened(self, expr: Any) -> Any:
        value = bound(expr, self.lookup_binding)
        if isinstance(value, tvm.ir.GenericConst):
            return relax.const(value.value.numpy().astype(np.float32), WIDE)
        if expr not in self._wide:
            self._wide[expr] = self.builder_.emit(relax.op.astype(expr, WIDE))
        return self._wide[expr]


def _rows(product: Any) -> float:
    """The number of rows of a product's result, infinite where it is not known."""
    shape = static_shape(product)
    return float("inf") if shape is None else prod(shape[:-1])
