"""Convolutions of concatenated channels as sums of convolutions, so that nothing is concatenated (imports TVM)."""

from __future__ import annotations

import functools
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    bound,
    concatenated,
    is_call,
    is_constant,
    is_plain_nhwc,
    rewritten,
    uses,
)

_CHANNELS = 3
_INPUT_CHANNELS = 2
# More parts are more kernels, each with a sum to write and to read again.
_PARTS = 2
# The sum has to be this much smaller than the concatenation that it saves.
_LEAST_SHRINKING = 2


def with_split_convolutions(module: tvm.IRModule) -> tvm.IRModule:
    """The module with NHWC convolutions of two concatenated tensors, where nothing else reads the concatenation, as one
    convolution of each; max pooling in between is done on each part.

    A fire module of SqueezeNet ends in a concatenation of many channels, which the next one squeezes to a few: the
    copy takes longer than writing and reading the few once more.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Looks at calls whose first operand nothing else reads."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._uses = uses(module)

    def visit_call_(self, call: Any) -> Any:
        """The call, or what replaces it."""
        is_only_reader = bool(call.args) and self._uses[call.args[0]] == 1
        call = self.visit_expr_post_order(call)
        if not is_only_reader:
            return call
        parts = self._parts(call.args[0])
        if len(parts) != _PARTS:
            return call
        if is_call(call, "relax.nn.max_pool2d") and str(call.attrs.layout) == "NHWC":
            pooled = [self.builder_.emit(relax.Call(call.op, [part], call.attrs)) for part in parts]
            return relax.op.concat(pooled, _CHANNELS)
        if is_call(call, "relax.nn.conv2d") and self._is_shrinking(call):
            return self._sum(call, parts)
        return call

    def _sum(self, call: Any, parts: list[Any]) -> Any:
        sums, first = [], 0
        for part in parts:
            last = first + int(part.ty.shape[_CHANNELS])
            weight = relax.op.strided_slice(call.args[1], [_INPUT_CHANNELS], [first], [last])
            operands = [part, self.builder_.emit(weight)]
            sums.append(self.builder_.emit(relax.Call(call.op, operands, call.attrs)))
            first = last
        return functools.reduce(relax.op.add, sums)

    def _is_shrinking(self, call: Any) -> bool:
        if not is_plain_nhwc(call):
            return False
        *_, read, written = (int(size) for size in call.args[1].ty.shape)
        return written * _LEAST_SHRINKING <= read and is_constant(call.args[1], self.lookup_binding)

    def _parts(self, operand: Any) -> list[Any]:
        """The operands of a concatenation along the channels; empty for any other expression."""
        value = bound(operand, self.lookup_binding)
        return concatenated(value, [_CHANNELS], self.lookup_binding)
