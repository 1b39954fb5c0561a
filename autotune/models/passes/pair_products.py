"""Products of small integers that a graph takes in floats, as sums of products of pairs (imports TVM)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    FUSED_BEHIND,
    Lookup,
    bound,
    is_call,
    is_plain_nhwc,
    rewritten,
    static_shape,
)
from search_spaces.tensor_ir.pair_products import (
    conv2d_of_pairs,
    has_pair_products,
    matmul_of_pairs,
    paired,
    pairs,
)

_FLOATS = ("float32", "float64")
_BYTES = ("int8", "uint8")
# The magnitudes beyond 16-bit integers and sums in int32.
_OVER_HALF, _OVER_WORD = 1 << 15, 1 << 31
# Their results are values of their first operand.
_VALUES = frozenset(
    f"relax.{name}"
    for name in ("astype", "permute_dims", "reshape", "expand_dims", "squeeze", "strided_slice")
)
_WEIGHT_RANKS = {"relax.matmul": 2, "relax.nn.conv2d": 4}


def with_pair_products(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """The module with products of quantized data and constant weights of whole numbers in int32, where that is faster.

    ``matmul(x, w)`` → ``astype(matmul_of_pairs(pairs(x), paired(w)))`` for an x that is computed from 8-bit integers
    less their zero point; NHWC convolutions of one group likewise. The results are exact, and casts of them to int32
    are dropped. What follows is fused.
    """
    return rewritten(module, _Rewriter(module)) if has_pair_products(target) else module


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        # The words of data, and the products in int32 of those in floats.
        self._words: dict[Any, Any] = {}
        self._products: dict[Any, Any] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or its product of pairs."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.astype") and str(call.ty.dtype.dtype) == "int32":
            return self._products.get(self._source(call.args[0]), call)
        weights = self._weights(call)
        if weights is None:
            return call
        data = call.args[0]
        if data not in self._words:
            self._words[data] = self.builder_.emit_te(pairs, data, primfunc_name_hint="pairs")
        words = relax.const(paired(weights, weights.ndim - 2), "int32")
        attrs: dict[str, Any] = {"primfunc_attrs": {"op_pattern": FUSED_BEHIND}}
        if is_call(call, "relax.matmul"):
            product = self.builder_.emit_te(
                matmul_of_pairs, self._words[data], words, primfunc_name_hint="pair_matmul", **attrs
            )
        else:
            windows = (call.attrs.strides, call.attrs.padding, call.attrs.dilation)
            steps = [[int(step) for step in each] for each in windows]
            product = self.builder_.emit_te(
                conv2d_of_pairs, self._words[data], words, *steps, primfunc_name_hint="pair_conv2d", **attrs
            )
        real = self.builder_.emit(relax.op.astype(product, str(call.ty.dtype.dtype)))
        self._products[real] = product
        return real

    def _source(self, expr: Any) -> Any:
        """The first variable of those that are bound to each other."""
        while isinstance(expr, relax.Var) and isinstance(found := self.lookup_binding(expr), relax.Var):
            expr = found
        return expr

    def _weights(self, call: Any) -> npt.NDArray[Any] | None:
        """The integers of a call that may become a product of pairs, None for any other."""
        rank = next((rank for name, rank in _WEIGHT_RANKS.items() if is_call(call, name)), None)
        if rank is None or (rank == 4 and not is_plain_nhwc(call)):
            return None
        weight = bound(call.args[1], self.lookup_binding)
        kinds = {str(one.ty.dtype.dtype) for one in (call, *call.args)}
        if not isinstance(weight, tvm.ir.GenericConst) or len(kinds) > 1 or not kinds <= {*_FLOATS}:
            return None
        range_ = integer_range(call.args[0], self.lookup_binding)
        if range_ is None or static_shape(call.args[0]) is None:
            return None
        values = weight.value.numpy()
        if values.ndim != rank or min(values.shape) == 0 or not np.array_equal(values, np.rint(values)):
            return None
        most = max(map(abs, range_))
        sums = np.abs(values).sum(axis=tuple(range(rank - 1)), dtype=np.float64)
        is_exact = max(most, np.abs(values).max()) < _OVER_HALF and sums.max() * most < _OVER_WORD
        return values if is_exact else None


def integer_range(expr: Any, lookup: Lookup) -> tuple[float, float] | None:
    """The least and the largest value of a tensor that is known to hold integers of few bits; None for any other.

    Known are 8-bit integers in any dtype, constants, differences, and views of these.
    """
    value = bound(expr, lookup)
    if isinstance(value, tvm.ir.GenericConst):
        found = value.value.numpy()
        is_whole = found.size > 0 and bool((found == np.rint(found)).all())
        return (float(found.min()), float(found.max())) if is_whole else None
    if str(value.ty.dtype.dtype) in _BYTES:
        limits = np.iinfo(str(value.ty.dtype.dtype))
        return float(limits.min), float(limits.max)
    if is_call(value, "relax.subtract"):
        left, right = (integer_range(each, lookup) for each in value.args)
        return None if left is None or right is None else (left[0] - right[1], left[1] - right[0])
    name = getattr(value.op, "name", "") if isinstance(value, relax.Call) else ""
    return integer_range(value.args[0], lookup) if name in _VALUES else None
