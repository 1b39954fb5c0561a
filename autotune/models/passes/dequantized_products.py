"""Products of dequantized data and weights, as products of their integers that are scaled afterwards (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.constant_layouts import with_constant_layouts
from autotune.models.passes.rewriting import bound, is_call, rewritten
from search_spaces.tensor_ir.word_instructions import word_products

Array = npt.NDArray[Any]

_BYTES = ("int8", "uint8")
_DEQUANTIZE, _MATMUL, _CONVOLUTION = "relax.dequantize", "relax.matmul", "relax.nn.conv2d"


def with_dequantized_products(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """The module with products of dequantized bytes in whole numbers, where the target multiplies these.

    ``conv2d(dequantize(x, sx, zx), dequantize(w, sw, zw))`` → ``conv2d(x - zx, w - zw) * (sx * sw)`` for constant
    weights and one scale of the data, in float32; matmul likewise. Convolutions in groups stay as they are.
    """
    if not word_products(target):
        return module
    laid_out = with_constant_layouts(module)
    return rewritten(laid_out, _Rewriter(laid_out))


@dataclass(frozen=True)
class _Dequantized:
    """Operands of a dequantize, the constant ones as vectors, and the axis along which these lie."""

    source: Any
    scale: Array
    zero: Array
    axis: int


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or its product of integers."""
        call = self.visit_expr_post_order(call)
        axes = _channel_axes(call)
        data, weights = (self._dequantized(each) for each in call.args) if axes is not None else (None, None)
        if axes is None or data is None or weights is None:
            return call
        made, kept = axes
        kernel = self._constant(weights.source)
        by_channel = max(weights.scale.size, weights.zero.size) > 1
        is_plain = data.scale.size == data.zero.size == 1 and (not by_channel or weights.axis == kept)
        if not is_plain or kernel is None:
            return call
        integers = kernel.astype(np.float32)
        whole = integers - _along(weights.zero.astype(np.float32), kept, integers.ndim)
        wide = self.builder_.emit(relax.op.astype(data.source, "float32"))
        centred = self.builder_.emit(relax.op.subtract(wide, relax.const(np.float32(data.zero.item()))))
        product = self.builder_.emit(relax.Call(call.op, [centred, relax.const(whole)], call.attrs))
        factor = _along((data.scale * weights.scale).astype(np.float32), made, len(call.ty.shape))
        return relax.op.multiply(product, relax.const(factor))

    def _constant(self, expr: Any) -> Array | None:
        """The values of a constant, None for any other tensor."""
        value = bound(expr, self.lookup_binding)
        return value.value.numpy() if isinstance(value, tvm.ir.GenericConst) else None

    def _dequantized(self, expr: Any) -> _Dequantized | None:
        """Operands of the dequantize that a tensor of float32 comes from, None for others and for scales that vary."""
        call = bound(expr, self.lookup_binding)
        if not is_call(call, _DEQUANTIZE) or str(call.ty.dtype.dtype) != "float32":
            return None
        source, *rest = call.args
        scale, zero = (self._constant(each) for each in rest)
        if str(source.ty.dtype.dtype) not in _BYTES or scale is None or zero is None:
            return None
        return _Dequantized(
            source, scale.reshape(-1), zero.reshape(-1), int(call.attrs.axis) % len(source.ty.shape)
        )


def _channel_axes(call: Any) -> tuple[int, int] | None:
    """The axes of a product's channels in the result and in the weights, None for any other call."""
    if is_call(call, _MATMUL):
        return (len(call.ty.shape) - 1, 1) if len(call.args[1].ty.shape) == 2 else None
    if not is_call(call, _CONVOLUTION) or int(call.attrs.groups) != 1:
        return None
    return str(call.attrs.out_layout).index("C"), str(call.attrs.kernel_layout).index("O")


def _along(values: Array, axis: int, rank: int) -> Array:
    """A vector as an array whose other axes have one place; a single value as a scalar."""
    return values.reshape([-1 if at == axis else 1 for at in range(rank)] if values.size > 1 else [])
