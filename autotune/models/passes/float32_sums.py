"""Sums of half floats in float32: products, convolutions, means, norms and softmax (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import rewritten

HALVES = ("float16", "bfloat16")
WIDE = "float32"
_GEOMETRY = ("strides", "padding", "dilation", "groups", "data_layout", "kernel_layout", "out_layout")
#: Operators that sum in the dtype of their result: it is float32, and rounded afterwards; with their attributes.
WITH_OUT_DTYPE = {
    "relax.matmul": (relax.op.matmul, ()),
    "relax.nn.conv1d": (relax.op.nn.conv1d, _GEOMETRY),
    "relax.nn.conv2d": (relax.op.nn.conv2d, _GEOMETRY),
    "relax.nn.conv3d": (relax.op.nn.conv3d, _GEOMETRY),
    "relax.nn.conv1d_transpose": (relax.op.nn.conv1d_transpose, (*_GEOMETRY, "output_padding")),
    "relax.nn.conv2d_transpose": (relax.op.nn.conv2d_transpose, (*_GEOMETRY, "output_padding")),
}
# Operators that sum in the dtype of their operands: those are widened, and the result is rounded.
_WIDENED = {
    *(f"relax.{name}" for name in ("sum", "mean", "prod", "variance", "std", "cumsum", "cumprod", "einsum")),
    *(f"relax.nn.{name}" for name in ("softmax", "log_softmax", "layer_norm", "rms_norm", "group_norm")),
    *(f"relax.nn.{name}" for name in ("instance_norm", "batch_norm", "attention", "adaptive_avg_pool2d")),
    *(f"relax.nn.avg_pool{rank}d" for rank in (1, 2, 3)),
}


def with_float32_sums(module: tvm.IRModule) -> tvm.IRModule:
    """The module with its sums of float16 and bfloat16 accumulated in float32.

    In float16 a sum overflows above 65,504, and a mean of thousands of terms is off by percents.
    """
    return rewritten(module, _Widener(module))


@mutator
class _Widener(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the call in float32 with a rounded result."""
        call = self.visit_expr_post_order(call)
        name = getattr(call.op, "name", "")
        if name not in WITH_OUT_DTYPE and name not in _WIDENED:
            return call
        dtype = _half_of(call.args)
        if dtype is None:
            return call
        if name in WITH_OUT_DTYPE:
            widened = summed_in_float32(call, call.args)
        else:
            widened = relax.Call(
                call.op, [self._widened(each) for each in call.args], call.attrs, call.ty_args
            )
        return self._rounded(self.builder_.emit(widened), dtype)

    def _widened(self, expr: Any) -> Any:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._widened(each) for each in expr.fields])
        if dtype_of(expr) not in HALVES:
            return expr
        return self.builder_.emit(relax.op.astype(expr, WIDE))

    def _rounded(self, expr: Any, dtype: str) -> Any:
        if isinstance(expr.ty, relax.TupleType):
            fields = [
                self.builder_.emit(relax.TupleGetItem(expr, place)) for place in range(len(expr.ty.fields))
            ]
            return relax.Tuple([self.builder_.emit(relax.op.astype(each, dtype)) for each in fields])
        return relax.op.astype(expr, dtype)


def summed_in_float32(call: Any, operands: Iterable[Any]) -> Any:
    """A call of an operator of `WITH_OUT_DTYPE`, of other operands and with a result in float32."""
    return called_anew(call, operands, out_dtype=WIDE)


def called_anew(call: Any, operands: Iterable[Any], **changes: Any) -> Any:
    """A call of an operator of `WITH_OUT_DTYPE`, of other operands and with some other attributes."""
    operation, names = WITH_OUT_DTYPE[call.op.name]
    given = {each: getattr(call.attrs, each) for each in (*names, "out_dtype")}
    return operation(*operands, **{**given, **changes})


def _half_of(args: Any) -> str | None:
    """The 16-bit dtype of the first tensor that has one."""
    for arg in args:
        found = _half_of(arg.fields) if isinstance(arg, relax.Tuple) else dtype_of(arg)
        if found in HALVES:
            return found
    return None


def dtype_of(expr: Any) -> str | None:
    """The dtype of a tensor, None for anything else."""
    ty = getattr(expr, "ty", None)
    if not isinstance(ty, relax.TensorType) or ty.dtype is None:
        return None
    return str(getattr(ty.dtype, "dtype", ty.dtype))
