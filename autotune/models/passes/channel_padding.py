"""Convolutions and products whose columns do not fill a CPU's vectors, with columns of zeros added (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import has_channels_last, is_call, is_constant, rewritten
from search_spaces.tensor_ir.tile_choice import vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit

# Shallower sums are too little work for the copy that may be left.
_LEAST_DEPTH = 32
_MOST_ADDED = 0.1
# With that little more work, whole pairs of vectors: more results for each load.
_LITTLE_ADDED = 0.03
# Rows and vectors of a tile that 16 registers do not hold; the widths of those that they hold, multiplied; and what may
# be added so that one of these widths divides.
_LARGE_TILE = 4, 3
_SMALL_WIDTHS = 2 * 3
_MOST_ADDED_TO_TILE = 0.2
# However much is added, where whole vectors take that part of the steps of narrower ones.
_FEWER_STEPS = 0.7
# A product of fewer rows reads its weights hardly more than once, and is as fast as these come.
_LEAST_ROWS = 8


def with_full_vectors(module: tvm.IRModule, unit: VectorUnit) -> tvm.IRModule:
    """The module with channels-last convolutions and products that compute whole vectors, cut off as late as can be.

    The classifier of many networks has 1000 channels: 62 and a half vectors of 16, and TVM's tilings are perfect
    only. Biases, activations and means over the image are computed with the added channels in place, which are few.
    The channels of each group are padded by themselves: ShuffleNet's groups of 68 to 80.
    """
    return rewritten(module, _Rewriter(module, unit))


def padded_channels(channels: int, unit: VectorUnit) -> int:
    """The number of output channels rounded up to whole vectors.

    Unchanged where they fill the vectors already, or where narrower vectors take hardly more steps than rounding adds.
    Tiles of 16 registers are two or three vectors wide: there a number of vectors that neither divides gets one more.
    """
    lanes = unit.lanes
    whole = -(-channels // lanes) * lanes
    if channels % lanes:
        pairs = -(-channels // (2 * lanes)) * 2 * lanes
        whole = pairs if pairs <= channels * (1 + _LITTLE_ADDED) else whole
        is_faster = whole // lanes <= _FEWER_STEPS * (channels // vector_lanes(channels, lanes))
        if whole > channels * (1 + _MOST_ADDED) and not is_faster:
            return channels
    vectors = whole // lanes
    is_odd = not unit.holds(*_LARGE_TILE) and gcd(vectors, _SMALL_WIDTHS) == 1
    return whole + lanes if is_odd and _MOST_ADDED_TO_TILE * vectors >= 1 else whole


@dataclass(frozen=True)
class _Whole:
    """A padded tensor; groups: how many runs of channels are padded, each at its end."""

    value: Any
    groups: int


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited, so that a cut moves from call to call."""

    def __init__(self, module: tvm.IRModule, unit: VectorUnit) -> None:
        super().__init__(module)
        self._unit = unit
        self._uncut: dict[Any, _Whole] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or its padded form with the cut after it."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.nn.conv2d", "relax.nn.conv3d"):
            return self._padded(call)
        if is_call(call, "relax.matmul"):
            return self._padded_product(call)
        found = self._whole(call.args[0]) if call.args else None
        if found is None:
            return call
        whole, channels = found.value, int(call.args[0].ty.shape[-1])
        if is_call(call, "relax.nn.relu"):
            return self._cut(relax.op.nn.relu(whole), channels, found.groups)
        if is_call(call, "relax.sigmoid"):
            return self._cut(relax.op.sigmoid(whole), channels, found.groups)
        if is_call(call, "relax.mean") and call.attrs.keepdims and _axes(call) == _inner(whole):
            return self._cut(relax.op.mean(whole, _inner(whole), keepdims=True), channels, found.groups)
        if is_call(call, "relax.add") and is_constant(call.args[1], self.lookup_binding):
            shape = _sizes(call.args[1])
            if shape[-1:] == [channels] and prod(shape) == channels:
                bias = self._with_zeros(call.args[1], int(whole.ty.shape[-1]), found.groups)
                return self._cut(relax.op.add(whole, bias), channels, found.groups)
        return call

    def _padded(self, call: Any) -> Any:
        data, weight = call.args
        groups = int(call.attrs.groups)
        if not has_channels_last(call) or not is_constant(weight, self.lookup_binding):
            return call
        *window, taken, made = _sizes(weight)
        channels = made // groups
        if prod(window) * taken < _LEAST_DEPTH or (groups > 1 and 1 in (taken, channels)):
            return call
        padded = padded_channels(channels, self._unit)
        if padded == channels:
            return call
        whole = relax.Call(call.op, [data, self._with_zeros(weight, groups * padded, groups)], call.attrs)
        return self._cut(whole, made, groups)

    def _padded_product(self, call: Any) -> Any:
        data, weight = call.args
        is_fit = is_constant(weight, self.lookup_binding) and len(weight.ty.shape) == 2
        *rows, columns = call.ty.shape
        if not is_fit or not all(isinstance(size, int | tirx.IntImm) for size in (*rows, columns)):
            return call
        padded = padded_channels(int(columns), self._unit)
        if (
            padded == int(columns)
            or prod(map(int, rows)) < _LEAST_ROWS
            or int(weight.ty.shape[0]) < _LEAST_DEPTH
        ):
            return call
        whole = relax.op.matmul(data, self._with_zeros(weight, padded, 1), call.attrs.out_dtype)
        return self._cut(whole, int(columns), 1)

    def _cut(self, whole: Any, channels: int, groups: int) -> Any:
        whole = self.builder_.emit(whole)
        split, _ = self._split(whole, groups)
        kept = self.builder_.emit(
            relax.op.strided_slice(split, [len(split.ty.shape) - 1], [0], [channels // groups])
        )
        cut = (
            kept
            if groups == 1
            else self.builder_.emit(relax.op.reshape(kept, [*_sizes(whole)[:-1], channels]))
        )
        self._uncut[cut] = _Whole(whole, groups)
        return cut

    def _with_zeros(self, constant: Any, channels: int, groups: int) -> Any:
        """A constant with zeros behind the channels of each group, so many channels in all."""
        split, each = self._split(constant, groups)
        widths = [0] * (2 * len(split.ty.shape) - 1) + [channels // groups - each]
        padded = self.builder_.emit(relax.op.nn.pad(split, widths))
        shape = [*_sizes(constant)[:-1], channels]
        return padded if groups == 1 else self.builder_.emit(relax.op.reshape(padded, shape))

    def _split(self, tensor: Any, groups: int) -> tuple[Any, int]:
        """A tensor with an axis for its groups before that for the channels of one, and their number."""
        *outer, channels = _sizes(tensor)
        shape = [*outer, groups, channels // groups]
        split = tensor if groups == 1 else self.builder_.emit(relax.op.reshape(tensor, shape))
        return split, channels // groups

    def _whole(self, operand: Any) -> _Whole | None:
        """The padded tensor that the operand was sliced from by this pass; None for any other operand."""
        while isinstance(operand, relax.Var) and operand not in self._uncut:
            operand = self.lookup_binding(operand)
        return self._uncut.get(operand) if isinstance(operand, relax.Var) else None


def _sizes(tensor: Any) -> list[int]:
    return [int(size) for size in tensor.ty.shape]


def _axes(call: Any) -> list[int]:
    return [int(axis) for axis in call.attrs.axis or []]


def _inner(tensor: Any) -> list[int]:
    """The axes between the batch and the channels."""
    return list(range(1, len(tensor.ty.shape) - 1))
