"""Convolutions whose output channels do not fill a CPU's vectors, with channels of zeros added (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.relax_rewriting import is_call, is_constant, is_nhwc, rewritten
from search_spaces.vector_unit import VectorUnit

# Fewer channels are too little work for the copy that may be left.
_LEAST_CHANNELS = 64
_MOST_ADDED = 0.1
# With that little more work, whole pairs of vectors: more results for each load.
_LITTLE_ADDED = 0.03
# Where a vector lies across two groups, half of one is the most that is computed at once.
_MOST_ADDED_TO_GROUPS = 0.25
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class _Channels:
    """Of a convolution's output: how many a group has, and how many of zeros are added after them."""

    groups: int
    kept: int
    added: int


def with_full_vectors(module: tvm.IRModule, unit: VectorUnit) -> tvm.IRModule:
    """The module with NHWC convolutions that compute a whole number of vectors of channels, cut off as late as can be.

    The classifier of many networks has 1000 channels: 62 and a half vectors of 16, and TVM's tilings are perfect
    only. Biases, activations and means over the image are computed with the added channels in place, which are few.
    Grouped convolutions get them after each group's, so that no vector belongs to two groups.
    """
    return rewritten(module, _Rewriter(module, unit))


def padded_channels(channels: int, lanes: int) -> int:
    """How many channels to compute instead; as many as before where they fill the vectors, or adding is too much."""
    if channels % lanes == 0 or channels < _LEAST_CHANNELS:
        return channels
    pairs = -(-channels // (2 * lanes)) * 2 * lanes
    padded = pairs if pairs <= channels * (1 + _LITTLE_ADDED) else -(-channels // lanes) * lanes
    return padded if padded <= channels * (1 + _MOST_ADDED) else channels


def padded_group(channels: int, lanes: int) -> int:
    """The same for the channels of one group of several."""
    padded = -(-channels // lanes) * lanes
    is_worth_it = channels >= 2 * lanes and padded <= channels * (1 + _MOST_ADDED_TO_GROUPS)
    return padded if is_worth_it else channels


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited, so that a cut moves from call to call."""

    def __init__(self, module: tvm.IRModule, unit: VectorUnit) -> None:
        super().__init__(module)
        self._lanes = unit.lanes
        self._uncut: dict[Any, tuple[Any, _Channels]] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or its padded form with the cut after it."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.nn.conv2d"):
            return self._padded(call)
        found = self._whole(call.args[0]) if call.args else None
        if found is None:
            return call
        whole, channels = found
        if is_call(call, "relax.nn.relu"):
            return self._cut(relax.op.nn.relu(whole), channels)
        if is_call(call, "relax.sigmoid"):
            return self._cut(relax.op.sigmoid(whole), channels)
        if is_call(call, "relax.mean") and call.attrs.keepdims and _axes(call) == [1, 2]:
            return self._cut(relax.op.mean(whole, [1, 2], keepdims=True), channels)
        if is_call(call, "relax.add") and is_constant(call.args[1], self.lookup_binding):
            shape = [int(size) for size in call.args[1].ty.shape]
            if shape == [1, 1, 1, channels.groups * channels.kept]:
                return self._cut(relax.op.add(whole, self._with_zeros(call.args[1], channels)), channels)
        return call

    def _padded(self, call: Any) -> Any:
        data, weight = call.args
        attrs = call.attrs
        if not is_nhwc(call) or not is_constant(weight, self.lookup_binding):
            return call
        groups = int(attrs.groups)
        kept = int(weight.ty.shape[_CHANNELS]) // groups
        padded = padded_channels(kept, self._lanes) if groups == 1 else padded_group(kept, self._lanes)
        if padded == kept:
            return call
        channels = _Channels(groups, kept, padded - kept)
        whole = relax.op.nn.conv2d(
            data,
            self._with_zeros(weight, channels),
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            dilation=list(attrs.dilation),
            groups=groups,
            data_layout="NHWC",
            kernel_layout="HWIO",
            out_layout="NHWC",
            out_dtype=attrs.out_dtype,
        )
        return self._cut(whole, channels)

    def _cut(self, whole: Any, channels: _Channels) -> Any:
        whole = self.builder_.emit(whole)
        found = self._with_groups(whole, channels)
        last = len(found.ty.shape) - 1
        cut = self._without_groups(relax.op.strided_slice(found, [last], [0], [channels.kept]), channels)
        self._uncut[cut] = whole, channels
        return cut

    def _with_zeros(self, constant: Any, channels: _Channels) -> Any:
        """A tensor whose last dimension are channels, with those that are added."""
        found = self._with_groups(constant, channels)
        kept = len(found.ty.shape) - 1
        return self._without_groups(relax.op.nn.pad(found, [0] * (2 * kept) + [0, channels.added]), channels)

    def _with_groups(self, tensor: Any, channels: _Channels) -> Any:
        """The tensor with its last dimension as two: groups, and the channels of each; as it is for one group."""
        if channels.groups == 1:
            return tensor
        *sizes, total = (int(size) for size in tensor.ty.shape)
        shape = (*sizes, channels.groups, total // channels.groups)
        return self.builder_.emit(relax.op.reshape(tensor, shape))

    def _without_groups(self, tensor: Any, channels: _Channels) -> Any:
        """The tensor with its last two dimensions as one again; as it is for one group."""
        found = self.builder_.emit(tensor)
        if channels.groups == 1:
            return found
        *sizes, groups, each = (int(size) for size in found.ty.shape)
        return self.builder_.emit(relax.op.reshape(found, (*sizes, groups * each)))

    def _whole(self, operand: Any) -> tuple[Any, _Channels] | None:
        """What the operand is the first channels of, where this pass cut the others off; else None."""
        while isinstance(operand, relax.Var) and operand not in self._uncut:
            operand = self.lookup_binding(operand)
        return self._uncut.get(operand) if isinstance(operand, relax.Var) else None


def _axes(call: Any) -> list[int]:
    return [int(axis) for axis in call.attrs.axis or []]
