"""Shuffles of channels between the groups of convolutions, done on channels-last data (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    bound,
    is_call,
    permutation,
    rewritten,
)

#: What is left of a shuffle between two convolutions that were given channels-last data, the last step first.
_STEPS = (
    "relax.permute_dims",
    "relax.reshape",
    "relax.permute_dims",
    "relax.reshape",
    "relax.permute_dims",
)
_SWAP, _SWAP_CHANNELS_LAST = [0, 2, 1, 3, 4], [0, 1, 2, 4, 3]


def with_channels_last_shuffles(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the channel shuffles of ShuffleNet (Zhang et al., CVPR 2018) as one swap of the last two axes:
    groups, and the channels of each.

    Layout conversion leaves them on channels-first data, between two transpositions of the whole image, and the
    kernel that does it all computes every index with divisions by the sizes of the image.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Looks at what ends in a transposition to channels-last."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the shuffle that it is the end of."""
        call = self.visit_expr_post_order(call)
        steps, operand = [], call
        for name in _STEPS:
            step = bound(operand, self.lookup_binding)
            if not is_call(step, name):
                return call
            steps.append(step)
            operand = step.args[0]
        shuffled = self._shuffled(steps, operand)
        return call if shuffled is None else shuffled

    def _shuffled(self, steps: list[Any], data: Any) -> Any:
        last, flat, swap, split, first = steps
        axes = [permutation(step) for step in (first, swap, last)]
        sizes = [_sizes(each) for each in (data, split, flat)]
        if axes != [TO_CHANNELS_FIRST, _SWAP, TO_CHANNELS_LAST] or len(sizes[1]) != len(_SWAP):
            return None
        images, groups, each, height, width = sizes[1]
        channels = groups * each
        if sizes[0] != (images, height, width, channels) or sizes[2] != (images, channels, height, width):
            return None
        grouped = self.builder_.emit(relax.op.reshape(data, (images, height, width, groups, each)))
        swapped = self.builder_.emit(relax.op.permute_dims(grouped, _SWAP_CHANNELS_LAST))
        return relax.op.reshape(swapped, (images, height, width, channels))


def _sizes(tensor: Any) -> tuple[int, ...]:
    """The shape as integers; empty for a dynamic shape."""
    sizes = tuple(tensor.ty.shape)
    return tuple(map(int, sizes)) if all(isinstance(size, tvm.tirx.IntImm) for size in sizes) else ()
