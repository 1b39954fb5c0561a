"""Constants of elementwise operators with as many axes as the images they are broadcast to (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten

_OPERATORS = {
    f"relax.{name}": getattr(relax.op, name)
    for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power")
}
_COMMUTATIVE = ("relax.add", "relax.multiply", "relax.maximum", "relax.minimum")
_IMAGE_AXES = 4


def with_broadcast_constants(module: tvm.IRModule) -> tvm.IRModule:
    """The module with unit axes in front of constants that meet images, and these constants second where they may be.

        multiply(c[1], x[1, 16, 24, 160])  →  multiply(x[1, 16, 24, 160], c[1, 1, 1, 1])

    A layout conversion does not pass through an operator whose first operand is a constant, or whose operands differ
    in their number of axes, and goes back to channels-first data before it: a trained scale after each convolution, as
    Paddle has them, costs two transpositions of the image and keeps the activation in a kernel of its own.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the same one of a constant with more axes."""
        call = self.visit_expr_post_order(call)
        for name, operator in _OPERATORS.items():
            if is_call(call, name):
                left, right = call.args
                first, second = self._widened(left, right), self._widened(right, left)
                if first is None and second is None:
                    return call
                operands = (first or left, second or right)
                return operator(*(reversed(operands) if first and name in _COMMUTATIVE else operands))
        return call

    def _widened(self, operand: Any, other: Any) -> Any:
        """A constant with the axes of the image that it meets; None for any other operand."""
        value = bound(operand, self.lookup_binding)
        if not isinstance(value, tvm.ir.GenericConst) or len(other.ty.shape or ()) != _IMAGE_AXES:
            return None
        numbers = value.value.numpy()
        if not 0 < numbers.ndim <= _IMAGE_AXES:
            return None
        shape = (1,) * (_IMAGE_AXES - numbers.ndim) + numbers.shape
        return relax.const(numbers.reshape(shape), str(numbers.dtype))
