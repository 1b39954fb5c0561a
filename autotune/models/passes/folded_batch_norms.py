"""Batch norms in inference as constants of the convolution before them (imports TVM)."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401 - registers bfloat16 with NumPy
import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten, uses

_CONVOLUTIONS = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d")

Array = npt.NDArray[Any]


def with_folded_batch_norms(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each batch norm of constant statistics as a scale and a shift.

    Where a convolution with constant weights is read by the norm alone, the scale becomes part of the weights. The
    importers of other formats than ONNX leave batch norms as they are, and lowering makes four operations of each.
    """
    return rewritten(module, _Folder(module))


@mutator
class _Folder(PyExprMutator):  # type: ignore[misc]
    """Visits each norm after its operands were visited."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._uses = uses(module)

    def visit_call_(self, call: Any) -> Any:
        """The call, or the scale and shift that replace it, with the statistics, as a tuple."""
        if not is_call(call, "relax.nn.batch_norm") or call.attrs.training:
            return self.visit_expr_post_order(call)
        is_only_reader = self._uses[call.args[0]] == 1
        call = self.visit_expr_post_order(call)
        data, *statistics = call.args
        gamma, beta, mean, variance = (_value(each, self.lookup_binding) for each in statistics)
        if gamma is None or beta is None or mean is None or variance is None:
            return call
        scale = (gamma if call.attrs.scale else 1.0) / np.sqrt(variance + float(call.attrs.epsilon))
        shift = (beta if call.attrs.center else 0.0) - mean * scale
        scaled = self._convolution(data, scale) if is_only_reader else None
        if scaled is None:
            scaled = relax.op.multiply(data, _along(call, scale))
        normed = relax.op.add(self.builder_.emit(scaled), _along(call, shift))
        return relax.Tuple([self.builder_.emit(normed), statistics[2], statistics[3]])

    def _convolution(self, data: Any, scale: Array) -> Any:
        """The convolution that computes the data, with scaled weights; None where there is none to be scaled."""
        found = bound(data, self.lookup_binding)
        if not any(is_call(found, name) for name in _CONVOLUTIONS):
            return None
        weight = _value(found.args[1], self.lookup_binding)
        axis = str(found.attrs.kernel_layout).find("O")
        if weight is None or weight.shape[axis] != scale.size:
            return None
        sizes = [1] * weight.ndim
        sizes[axis] = -1
        scaled = _constant(weight * scale.reshape(sizes), found.args[1])
        return relax.Call(found.op, [found.args[0], scaled], found.attrs)


def _value(expr: Any, lookup: Any) -> Array | None:
    """The value of a constant in float64; None for any other expression."""
    constant = bound(expr, lookup)
    if not isinstance(constant, tvm.ir.GenericConst):
        return None
    return np.asarray(constant.value.numpy()).astype(np.float64)


def _along(norm: Any, values: Array) -> Any:
    """A constant that is broadcast along all axes but that of the norm's channels."""
    sizes = [1] * len(norm.args[0].ty.shape)
    sizes[int(norm.attrs.axis)] = -1
    return _constant(values.reshape(sizes), norm.args[0])


def _constant(values: Array, like: Any) -> Any:
    dtype = str(like.ty.dtype.dtype)
    return relax.const(np.ascontiguousarray(values.astype(dtype)), dtype)
