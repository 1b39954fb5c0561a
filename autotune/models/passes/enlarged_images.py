"""Linear enlargements of channels-first images, first of their columns and then of their rows (imports TVM)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax, te
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.onnx_passes.sampling_axes import Axis, Sampling, taps
from autotune.models.passes.rewriting import (
    ELEMENTWISE,
    TO_CHANNELS_FIRST,
    bound,
    is_call,
    permutation,
    rewritten,
    static_shape,
    uses,
)

_RESIZE = "relax.image.resize2d"
#: The coordinate transformation modes in which TVM and ONNX take the same two taps.
_COORDINATES = ("half_pixel", "align_corners", "asymmetric")
_TAPS = 2


def with_separate_enlargements(module: tvm.IRModule) -> tvm.IRModule:
    """The module with linear enlargements whose result has its channels first as a tensor program of two stages.

        permute_dims(resize2d(x, NHWC), [0, 3, 1, 2])  →  enlarged(permute_dims(x, [0, 3, 1, 2]), places, weights)

    TVM computes the place of each number anew, and reads it where channels lie together: at the end of a segmentation
    network that took three times as long.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._uses = uses(module)

    def visit_call_(self, call: Any) -> Any:
        """The call, or that of the tensor program."""
        call = self.visit_expr_post_order(call)
        if is_call(call, _RESIZE) and str(call.attrs.layout) == "NCHW":
            found = self._enlarged(call, call.args[0])
            return call if found is None else found
        if not is_call(call, "relax.permute_dims") or permutation(call) != TO_CHANNELS_FIRST:
            return call
        resize, applied = self._below_functions(call.args[0])
        if not is_call(resize, _RESIZE) or str(resize.attrs.layout) != "NHWC":
            return call
        found = self._enlarged(resize, relax.op.permute_dims(resize.args[0], TO_CHANNELS_FIRST))
        if found is None:
            return call
        for function in reversed(applied):
            found = relax.Call(function.op, [self.builder_.emit(found)], function.attrs)
        return found

    def _below_functions(self, value: Any) -> tuple[Any, list[Any]]:
        """The call below functions of single numbers that nothing else reads, and these, the last one first."""
        applied: list[Any] = []
        while self._uses[value] <= 1:
            call = bound(value, self.lookup_binding)
            if not _is_function(call):
                return call, applied
            applied.append(call)
            value = call.args[0]
        return None, applied

    def _enlarged(self, resize: Any, image: Any) -> Any:
        """The tensor program for a channels-first image; None where it is no linear enlargement."""
        attrs, places = resize.attrs, [str(resize.attrs.layout).index(axis) for axis in "HW"]
        before, after = static_shape(resize.args[0]), static_shape(resize)
        coordinates = str(attrs.coordinate_transformation_mode)
        if before is None or after is None or str(resize.ty.dtype) != "float32":
            return None
        if str(attrs.method) != "linear" or coordinates not in _COORDINATES:
            return None
        lengths = [(before[place], after[place]) for place in places]
        if any(resized < length for length, resized in lengths):
            return None
        tables = [table for length, resized in lengths for table in _tables(length, resized, coordinates)]
        constants = [relax.const(table, str(table.dtype)) for table in tables]
        image = self.builder_.emit(image)
        return self.builder_.call_te(_program, image, *constants, primfunc_name_hint="enlarged")


def _is_function(call: Any) -> bool:
    return (
        isinstance(call, relax.Call) and getattr(call.op, "name", "") in ELEMENTWISE and len(call.args) == 1
    )


def _tables(length: int, resized: int, coordinates: str) -> tuple[np.ndarray, np.ndarray]:
    """The places and weights of the two taps of each element, [taps, resized]."""
    sampling = Sampling("linear", coordinates, "floor", -0.75, excludes_outside=False, antialiases=False)
    found = taps(Axis(length, resized, resized / length), sampling)
    missing = ((0, 0), (0, _TAPS - found.indices.shape[1]))
    indices, weights = np.pad(found.indices, missing), np.pad(found.weights, missing)
    return indices.T.astype(np.int32).copy(), weights.T.copy()


def _program(
    image: te.Tensor, rows: te.Tensor, row_weights: te.Tensor, columns: te.Tensor, column_weights: te.Tensor
) -> te.Tensor:
    batch, channels, _, width = image.shape
    height, resized = rows.shape[1], columns.shape[1]

    def of_rows(n: Any, c: Any, h: Any, w: Any) -> Any:
        first, second = (image[n, c, rows[tap, h], w] * row_weights[tap, h] for tap in range(_TAPS))
        return first + second

    def of_columns(n: Any, c: Any, h: Any, w: Any) -> Any:
        first, second = (tall[n, c, h, columns[tap, w]] * column_weights[tap, w] for tap in range(_TAPS))
        return first + second

    tall = te.compute((batch, channels, height, width), of_rows, "tall")
    return te.compute((batch, channels, height, resized), of_columns, "enlarged")
