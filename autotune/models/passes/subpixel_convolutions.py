"""Transposed convolutions as convolutions of stride 1 and a shuffle of pixels (imports TVM).

Sub-pixel convolution (Shi et al., CVPR 2016): the outputs of one phase, those at the same remainder of the stride, are
a convolution of the input with every stride-th element of the kernel. All phases together are one convolution with
stride · stride times the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten

_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def with_subpixel_convolutions(module: tvm.IRModule) -> tvm.IRModule:
    """The module with 2-D transposed convolutions rewritten: channels-last, and channels-first on their own.

    One group, no dilation and a constant kernel become a convolution; any other is computed on channels-first data,
    the only layout that TVM can lower.

    >>> conv2d_transpose(x, w, strides=[2, 2])                     # x: 1×8×8×16, w: 16×4×2×2
    slice(reshape(permute_dims(reshape(conv2d(x, w2)))))           # w2: 1×1×16×16
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or what replaces a transposed convolution."""
        call = self.visit_expr_post_order(call)
        if not is_call(call, "relax.nn.conv2d_transpose") or not _is_static(call):
            return call
        data, kernel = call.args
        is_last = str(call.attrs.data_layout) == "NHWC"
        weights = bound(kernel, self.lookup_binding)
        if _is_plain(call) and isinstance(weights, tvm.ir.GenericConst):
            last = data if is_last else self._emit(relax.op.permute_dims(data, _TO_CHANNELS_LAST))
            found = self._subpixel(call, last, weights.value.numpy())
            return found if is_last else relax.op.permute_dims(self._emit(found), _TO_CHANNELS_FIRST)
        return self._channels_first(call) if is_last else call

    def _subpixel(self, call: Any, data: Any, kernel: np.ndarray[Any, Any]) -> Any:
        """The convolution on NHWC data; kernel: inputs × outputs × height × width."""
        images, height, width, _ = (int(size) for size in data.ty.shape)
        strides, before, sizes = _geometry(call, (height, width))
        filters = kernel.shape[1]
        taps = [-(-size // stride) for size, stride in zip(kernel.shape[2:], strides, strict=True)]
        # As many positions as the last output needs; padding the input by all but one tap gives all that are not zero.
        rows = [
            -(-(start + size) // stride) for start, size, stride in zip(before, sizes, strides, strict=True)
        ]
        after = [count - extent for count, extent in zip(rows, (height, width), strict=True)]
        phases = self._emit(
            relax.op.nn.conv2d(
                data,
                relax.const(_phase_kernel(kernel, strides, taps)),
                padding=[taps[0] - 1, taps[1] - 1, max(after[0], 0), max(after[1], 0)],
                data_layout="NHWC",
                kernel_layout="HWIO",
                out_layout="NHWC",
            )
        )
        found = [int(size) for size in phases.ty.shape][1:3]
        split = self._emit(relax.op.reshape(phases, (images, *found, *strides, filters)))
        moved = self._emit(relax.op.permute_dims(split, [0, 1, 3, 2, 4, 5]))
        shape = (images, found[0] * strides[0], found[1] * strides[1], filters)
        whole = self._emit(relax.op.reshape(moved, shape))
        if before == (0, 0) and tuple(shape[1:3]) == sizes:
            return whole
        ends = [start + size for start, size in zip(before, sizes, strict=True)]
        return relax.op.strided_slice(whole, [1, 2], list(before), ends)

    def _channels_first(self, call: Any) -> Any:
        data, kernel = call.args
        attrs = call.attrs
        first = self._emit(relax.op.permute_dims(data, _TO_CHANNELS_FIRST))
        found = relax.op.nn.conv2d_transpose(
            first,
            kernel,
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            output_padding=list(attrs.output_padding),
            dilation=list(attrs.dilation),
            groups=attrs.groups,
            data_layout="NCHW",
            kernel_layout=attrs.kernel_layout,
            out_layout="NCHW",
        )
        return relax.op.permute_dims(self._emit(found), _TO_CHANNELS_LAST)

    def _emit(self, expr: Any) -> Any:
        return self.builder_.emit(expr)


def _is_static(call: Any) -> bool:
    sizes = getattr(call.args[0].ty, "shape", None)
    return sizes is not None and all(isinstance(size, tvm.tirx.IntImm) for size in sizes)


def _is_plain(call: Any) -> bool:
    attrs = call.attrs
    return (
        int(attrs.groups) == 1
        and [int(one) for one in attrs.dilation] == [1, 1]
        and str(attrs.kernel_layout) == "IOHW"
        and str(attrs.data_layout) in ("NHWC", "NCHW")
        and str(attrs.out_layout) == str(attrs.data_layout)
    )


def _geometry(
    call: Any, extents: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Strides, rows and columns cut off at the beginning, and the output's height and width."""
    axes = (1, 2) if str(call.attrs.data_layout) == "NHWC" else (2, 3)
    strides = tuple(int(one) for one in call.attrs.strides)
    padding = [int(one) for one in call.attrs.padding]
    sizes = tuple(int(call.ty.shape[axis]) for axis in axes)
    return (strides[0], strides[1]), (padding[0], padding[1]), (sizes[0], sizes[1])


def _phase_kernel(
    kernel: np.ndarray[Any, Any], strides: tuple[int, int], taps: list[int]
) -> np.ndarray[Any, Any]:
    """The kernel of all phases, height × width × inputs × (row phase, column phase, outputs), mirrored."""
    inputs, outputs, height, width = kernel.shape
    padded = np.zeros((inputs, outputs, taps[0] * strides[0], taps[1] * strides[1]), kernel.dtype)
    padded[:, :, :height, :width] = kernel
    split = padded.reshape(inputs, outputs, taps[0], strides[0], taps[1], strides[1])
    mirrored = split[:, :, ::-1, :, ::-1, :].transpose(2, 4, 0, 3, 5, 1)
    return np.ascontiguousarray(mirrored.reshape(taps[0], taps[1], inputs, -1))
