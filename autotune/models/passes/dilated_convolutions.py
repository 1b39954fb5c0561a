"""Dilated convolutions that leave out the rows of their padding, where TVM multiplies by zeros (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import tvm
from tvm import te, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import is_call, is_constant, is_plain_nhwc, rewritten, static_shape

#: The part of the rows that windows read which has to be padding.
_LEAST_SKIPPED = 0.1


@dataclass(frozen=True)
class _Geometry:
    """Places of windows, strides, padding and dilation of a convolution; padding: above, left, below and right."""

    places: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def skipped_share(self, rows: int, taps: int) -> float:
        """The share of the rows that all windows read which are padding."""
        read = [
            place * self.strides[0] + tap * self.dilation[0] - self.padding[0]
            for place in range(self.places[0])
            for tap in range(taps)
        ]
        return sum(not 0 <= row < rows for row in read) / max(len(read), 1)


def with_skipped_rows(module: tvm.IRModule) -> tvm.IRModule:
    """The module with dilated convolutions of which a tenth of the rows is padding as tensor programs that skip it.

        y[i, j] = Σ padded[i + 12 r, j + 12 c] · w[r, c]  →  y[i, j] = Σ if inside(i + 12 r): x[…] · w[r, c]

    Of windows 25 x 25 on an image of 32 x 32 that is a quarter, and the padded image was three times as large.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or that of the tensor program."""
        call = self.visit_expr_post_order(call)
        if not is_call(call, "relax.nn.conv2d") or not is_plain_nhwc(call):
            return call
        attrs, shape, made = call.attrs, static_shape(call.args[0]), static_shape(call)
        strides, padding, dilation = (
            tuple(map(int, each)) for each in (attrs.strides, attrs.padding, attrs.dilation)
        )
        is_float = str(call.ty.dtype) == str(call.args[0].ty.dtype) == "float32"
        if shape is None or made is None or dilation[0] == 1 or not is_float:
            return call
        geometry = _Geometry(made[1:3], strides, padding, dilation)
        is_padded = geometry.skipped_share(shape[1], int(call.args[1].ty.shape[0])) >= _LEAST_SKIPPED
        if not is_padded or not is_constant(call.args[1], self.lookup_binding):
            return call
        program = partial(_convolution, geometry=geometry)
        return self.builder_.call_te(program, *call.args, primfunc_name_hint="dilated_conv2d")


def _convolution(data: te.Tensor, weight: te.Tensor, geometry: _Geometry) -> te.Tensor:
    batch, rows, columns, channels = (int(size) for size in data.shape)
    height, width, _, made = (int(size) for size in weight.shape)
    (row_step, column_step), (above, left, _, right) = geometry.strides, geometry.padding
    row_gap, column_gap = geometry.dilation

    def padded_columns(n: Any, y: Any, x: Any, c: Any) -> Any:
        return tirx.if_then_else(tirx.all(left <= x, x < left + columns), data[n, y, x - left, c], 0.0)

    wide = te.compute((batch, rows, left + columns + right, channels), padded_columns, "padded_columns")
    taps = [
        te.reduce_axis((0, size), name) for size, name in zip((height, width, channels), "rsc", strict=True)
    ]

    def product(n: Any, y: Any, x: Any, f: Any) -> Any:
        r, s, c = taps
        row = y * row_step + r * row_gap - above
        inside = tirx.all(row >= 0, row < rows)
        read = tirx.if_then_else(inside, wide[n, row, x * column_step + s * column_gap, c], 0.0)
        return te.sum(read * weight[r, s, c, f], taps)

    return te.compute((batch, *geometry.places, made), product, "dilated_conv2d")
