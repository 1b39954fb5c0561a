"""Convolutions whose output channels do not fill a CPU's vectors, with channels of zeros added (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import is_call, is_constant, is_plain_nhwc, rewritten
from search_spaces.tensor_ir.vector_unit import VectorUnit

# Fewer channels are too little work for the copy that may be left.
_LEAST_CHANNELS = 64
_MOST_ADDED = 0.1
# With that little more work, whole pairs of vectors: more results for each load.
_LITTLE_ADDED = 0.03
_CHANNELS = 3


def with_full_vectors(module: tvm.IRModule, unit: VectorUnit) -> tvm.IRModule:
    """The module with NHWC convolutions that compute a whole number of vectors of channels, cut off as late as can be.

    The classifier of many networks has 1000 channels: 62 and a half vectors of 16, and TVM's tilings are perfect
    only. Biases, activations and means over the image are computed with the added channels in place, which are few.
    """
    return rewritten(module, _Rewriter(module, unit))


def padded_channels(channels: int, lanes: int) -> int:
    """The number of output channels rounded up to whole vectors.

    Unchanged where they fill the vectors already, or where rounding adds too much work.
    """
    if channels % lanes == 0 or channels < _LEAST_CHANNELS:
        return channels
    pairs = -(-channels // (2 * lanes)) * 2 * lanes
    padded = pairs if pairs <= channels * (1 + _LITTLE_ADDED) else -(-channels // lanes) * lanes
    return padded if padded <= channels * (1 + _MOST_ADDED) else channels


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited, so that a cut moves from call to call."""

    def __init__(self, module: tvm.IRModule, unit: VectorUnit) -> None:
        super().__init__(module)
        self._lanes = unit.lanes
        self._uncut: dict[Any, Any] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or its padded form with the cut after it."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.nn.conv2d"):
            return self._padded(call)
        whole = self._whole(call.args[0]) if call.args else None
        if whole is None:
            return call
        channels, padded = int(call.args[0].ty.shape[_CHANNELS]), int(whole.ty.shape[_CHANNELS])
        if is_call(call, "relax.nn.relu"):
            return self._cut(relax.op.nn.relu(whole), channels)
        if is_call(call, "relax.sigmoid"):
            return self._cut(relax.op.sigmoid(whole), channels)
        if is_call(call, "relax.mean") and call.attrs.keepdims and _axes(call) == [1, 2]:
            return self._cut(relax.op.mean(whole, [1, 2], keepdims=True), channels)
        if is_call(call, "relax.add") and is_constant(call.args[1], self.lookup_binding):
            shape = [int(size) for size in call.args[1].ty.shape]
            if shape == [1, 1, 1, channels]:
                return self._cut(relax.op.add(whole, _with_zeros(call.args[1], padded)), channels)
        return call

    def _padded(self, call: Any) -> Any:
        data, weight = call.args
        attrs = call.attrs
        if not is_plain_nhwc(call) or not is_constant(weight, self.lookup_binding):
            return call
        channels = int(weight.ty.shape[_CHANNELS])
        padded = padded_channels(channels, self._lanes)
        if padded == channels:
            return call
        whole = relax.op.nn.conv2d(
            data,
            self.builder_.emit(_with_zeros(weight, padded)),
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            dilation=list(attrs.dilation),
            data_layout="NHWC",
            kernel_layout="HWIO",
            out_layout="NHWC",
            out_dtype=attrs.out_dtype,
        )
        return self._cut(whole, channels)

    def _cut(self, whole: Any, channels: int) -> Any:
        whole = self.builder_.emit(whole)
        cut = self.builder_.emit(relax.op.strided_slice(whole, [_CHANNELS], [0], [channels]))
        self._uncut[cut] = whole
        return cut

    def _whole(self, operand: Any) -> Any:
        """The padded tensor that the operand was sliced from by this pass; None for any other operand."""
        while isinstance(operand, relax.Var) and operand not in self._uncut:
            operand = self.lookup_binding(operand)
        return self._uncut.get(operand) if isinstance(operand, relax.Var) else None


def _with_zeros(constant: Any, channels: int) -> Any:
    added = channels - int(constant.ty.shape[_CHANNELS])
    return relax.op.nn.pad(constant, [0] * (2 * _CHANNELS) + [0, added])


def _axes(call: Any) -> list[int]:
    return [int(axis) for axis in call.attrs.axis or []]
