"""Layout changes of constants, computed ahead of time by NumPy (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, rewritten

Array = npt.NDArray[Any]


def with_constant_layouts(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each transposition, reshape, slice and padding of a constant replaced by its result.

    ``permute_dims(w, [0, 2, 3, 1])`` of a constant ``w`` → a constant. TVM's `FoldConstant` computes the same by
    compiling a kernel for each constant, some 0.1 s a weight.
    """
    return relax.transform.CanonicalizeBindings()(rewritten(module, _Rewriter(module)))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the constant that it computes."""
        call = self.visit_expr_post_order(call)
        compute = _COMPUTE.get(getattr(call.op, "name", ""))
        if compute is None:
            return call
        value = bound(call.args[0], self.lookup_binding)
        if not isinstance(value, tvm.ir.GenericConst):
            return call
        found = compute(value.value.numpy(), call)
        return call if found is None else relax.const(np.ascontiguousarray(found), str(call.ty.dtype.dtype))


def _transposed(value: Array, call: Any) -> Array:
    axes = call.attrs.axes
    return value.transpose(None if axes is None else [int(axis) for axis in axes])


def _reshaped(value: Array, call: Any) -> Array | None:
    shape = _integers(call.ty.shape)
    return None if shape is None else value.reshape(shape)


def _sliced(value: Array, call: Any) -> Array | None:
    given = [_integers(one) for one in call.args[1:]]
    if len(given) < 3 or any(one is None for one in given):
        return None
    axes, begins, ends, *strides = given
    steps = strides[0] if strides else [1] * len(axes or ())
    if any(step < 1 for step in steps or ()):
        return None
    places = [slice(None)] * value.ndim
    for axis, begin, end, step in zip(axes or (), begins or (), ends or (), steps or (), strict=True):
        places[axis] = slice(begin, end, step)
    return value[tuple(places)]


def _padded(value: Array, call: Any) -> Array | None:
    widths = [int(width) for width in call.attrs.pad_width]
    if str(call.attrs.pad_mode) != "constant":
        return None
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    return np.pad(value, pairs, constant_values=float(call.attrs.pad_value))


def _integers(values: Any) -> list[int] | None:
    """The integers of a shape or a tuple of prim values; None where one is symbolic."""
    fields: Any = getattr(values, "values", None) or getattr(values, "fields", ())
    found = [getattr(field, "value", field) for field in fields]
    return (
        [int(one) for one in found] if all(isinstance(one, int | tvm.tirx.IntImm) for one in found) else None
    )


_COMPUTE: dict[str, Callable[[Array, Any], Array | None]] = {
    "relax.permute_dims": _transposed,
    "relax.reshape": _reshaped,
    "relax.squeeze": _reshaped,
    "relax.expand_dims": _reshaped,
    "relax.strided_slice": _sliced,
    "relax.nn.pad": _padded,
}
