"""Clips and leaky ReLUs as maxima and minima of Relax, whose layouts and fusion TVM knows (imports TVM)."""

from __future__ import annotations

import math
import re
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten

# The names that TVM's importer of ONNX gives the tensor programs of a clip.
_BOUNDING = re.compile("(maximum|minimum)[0-9]*")
_OPERATORS = {"maximum": relax.op.maximum, "minimum": relax.op.minimum}


def with_maxima_and_minima(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each clip and leaky ReLU as the maxima and minima that compute the same.

    A layout conversion does not pass through them and goes back to channels-first data before each:
    transpose(leaky_relu(transpose(x))) → maximum(x, alpha * x), which is fused into the convolution that computes x.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the operators that compute the same."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.call_tir"):
            return self._bounded(call)
        if is_call(call, "relax.clip"):
            return self._clipped(call)
        if is_call(call, "relax.nn.leakyrelu"):
            return self._leaky(call)
        return call

    def _bounded(self, call: Any) -> Any:
        """One limit of an imported clip: maximum(x, low) or minimum(x, high)."""
        found = _BOUNDING.fullmatch(str(call.args[0].name_hint))
        operands: Any = call.args[1].fields if isinstance(call.args[1], relax.Tuple) else ()
        if not found or len(operands) != 2:
            return call
        return _OPERATORS[found[1]](operands[0], self._folded(operands[1]))

    def _folded(self, limit: Any) -> Any:
        """A limit as a constant where it is one; of NaN, which bounds nothing, the infinity that the importer chose."""
        value = bound(limit, self.lookup_binding)
        if not is_call(value, "relax.where"):
            return limit
        unbounded, given = (bound(one, self.lookup_binding) for one in value.args[1:])
        if not isinstance(unbounded, tvm.ir.GenericConst) or not isinstance(given, tvm.ir.GenericConst):
            return limit
        return unbounded if math.isnan(float(given.value.numpy())) else given

    def _clipped(self, call: Any) -> Any:
        dtype = str(call.ty.dtype)
        low, high = (relax.const(limit.value, dtype) for limit in call.args[1:])
        return relax.op.maximum(self.builder_.emit(relax.op.minimum(call.args[0], high)), low)

    def _leaky(self, call: Any) -> Any:
        """The larger of x and alpha * x, the smaller where alpha is above 1; of alpha 0, where inf * 0 is NaN, ReLU."""
        data, alpha = call.args[0], float(call.attrs.alpha)
        if alpha == 0:
            return relax.op.nn.relu(data)
        scaled = self.builder_.emit(relax.op.multiply(data, relax.const(alpha, str(call.ty.dtype))))
        return (relax.op.maximum if alpha <= 1 else relax.op.minimum)(data, scaled)
