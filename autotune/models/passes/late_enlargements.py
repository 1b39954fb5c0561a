"""Pointwise convolutions of enlarged images as enlargements of what they compute (imports TVM)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    bound,
    concatenated,
    is_call,
    is_constant,
    rewritten,
    static_shape,
    uses,
)

_RESIZE = "relax.image.resize2d"
_CHANNELS, _IMAGE_AXES = 1, 4
# The sum of enlarged results is read and written once more: they must not have more channels than that many times
# those that were enlarged before.
_MOST_WIDENING = 2
# Modes without a region of interest: outside of one, a resize gives a constant.
_COORDINATES = ("half_pixel", "align_corners", "asymmetric")


def with_late_enlargements(module: tvm.IRModule) -> tvm.IRModule:
    """The module with convolutions of 1 × 1 before the enlargements that they read, alone or beside other channels.

        conv2d(concat(resize2d(a), b), w)  →  conv2d(b, w_b) + resize2d(conv2d(a, w_a))

    Both are linear, and each has its own axes. The one in the head of a SegFormer does a third of the work then,
    and that of a detector convolves a quarter of the pixels that it takes from a smaller scale. Nothing else must read
    the enlarged image or the concatenation.
    """
    return rewritten(module, _Rewriter(module))


@dataclass(frozen=True)
class _Part:
    """Channels of a convolution's input from `first` to `last`; resize: the call that enlarges `value` to them."""

    value: Any
    first: int
    last: int
    resize: Any = None


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._uses = uses(module)

    def visit_call_(self, call: Any) -> Any:
        """The call, or the sum that replaces it."""
        parts = self._parts(call.args[0]) if is_call(call, "relax.nn.conv2d") else []
        call = self.visit_expr_post_order(call)
        enlarged = [part for part in parts if part.resize is not None]
        if not enlarged or not _is_pointwise(call) or not is_constant(call.args[1], self.lookup_binding):
            return call
        if int(call.args[1].ty.shape[0]) > _MOST_WIDENING * sum(part.last - part.first for part in enlarged):
            return call
        total = functools.reduce(self._sum, [self._enlarged(call, part) for part in enlarged])
        rest = [part for part in parts if part.resize is None]
        return self._sum(self._of_rest(call, rest), total) if rest else total

    def _sum(self, one: Any, other: Any) -> Any:
        return self.builder_.emit(relax.op.add(one, other))

    def _enlarged(self, call: Any, part: _Part) -> Any:
        made = self._convolved(call, self.visit_expr(part.value), [part])
        return self.builder_.emit(
            relax.Call(part.resize.op, [made, *part.resize.args[1:]], part.resize.attrs)
        )

    def _of_rest(self, call: Any, rest: list[_Part]) -> Any:
        images = [self.visit_expr(part.value) for part in rest]
        image = images[0] if len(images) == 1 else self.builder_.emit(relax.op.concat(images, _CHANNELS))
        return self._convolved(call, image, rest)

    def _convolved(self, call: Any, image: Any, parts: list[_Part]) -> Any:
        """The convolution of an image by the weights of these parts' channels."""
        slices = [
            self.builder_.emit(relax.op.strided_slice(call.args[1], [1], [part.first], [part.last]))
            for part in parts
        ]
        weights = slices[0] if len(slices) == 1 else self.builder_.emit(relax.op.concat(slices, 1))
        return self.builder_.emit(relax.Call(call.op, [image, weights], call.attrs))

    def _parts(self, operand: Any) -> list[_Part]:
        """The parts of a convolution's input that the pass may take apart."""
        if self._uses[operand] != 1:
            return []
        joined = bound(operand, self.lookup_binding)
        fields = concatenated(joined, [_CHANNELS, _CHANNELS - _IMAGE_AXES], self.lookup_binding) or [operand]
        parts, first = [], 0
        for field in fields:
            shape = static_shape(field)
            if shape is None or len(shape) != _IMAGE_AXES:
                return []
            parts.append(self._part(field, first, first + shape[_CHANNELS]))
            first = parts[-1].last
        return parts

    def _part(self, field: Any, first: int, last: int) -> _Part:
        resize = bound(field, self.lookup_binding)
        if not is_call(resize, _RESIZE) or str(resize.attrs.layout) != "NCHW" or self._uses[field] != 1:
            return _Part(field, first, last)
        before, after = static_shape(resize.args[0]), static_shape(resize)
        coordinates = str(resize.attrs.coordinate_transformation_mode)
        if before is None or after is None or coordinates not in _COORDINATES:
            return _Part(field, first, last)
        if before == after:
            return _Part(resize.args[0], first, last)
        is_larger = all(new >= old for new, old in zip(after, before, strict=True))
        return _Part(resize.args[0], first, last, resize) if is_larger else _Part(field, first, last)


def _is_pointwise(call: Any) -> bool:
    attrs = call.attrs
    layouts = (str(attrs.data_layout), str(attrs.kernel_layout), str(attrs.out_layout))
    kernel = static_shape(call.args[1])
    return (
        layouts == ("NCHW", "OIHW", "NCHW")
        and int(attrs.groups) == 1
        and kernel is not None
        and kernel[2:] == (1, 1)
        and {int(step) for step in attrs.strides} == {1}
        and {int(size) for size in attrs.padding} == {0}
        and str(call.ty.dtype.dtype) == "float32"
    )
