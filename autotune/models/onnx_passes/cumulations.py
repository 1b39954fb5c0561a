"""Cumulative sums and products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

# The elements that are cumulated in one step, each from all before it; longer axes in blocks of so many.
_BLOCK = 16


@dataclass(frozen=True)
class _Cumulation:
    """A cumulation: the reduction, the operator of two elements, and its neutral element."""

    reduction: str
    operator: str
    neutral: int
    is_reverse: bool

    def along(self, x: Tensor, axis: int, first_excluded: int) -> Tensor:
        """Each element replaced by the reduction of those up to it, or up to the one `first_excluded` before."""
        length = x.shape[axis]
        if length > _BLOCK:
            return self._in_blocks(x, axis, first_excluded)
        distance = np.arange(length)[:, None] - np.arange(length)[None, :]
        mask = (-distance if self.is_reverse else distance) >= first_excluded
        kept = x.graph.constant(mask.reshape(length, length, *[1] * (x.rank - axis - 1)))
        apart = x.reshape(*x.shape[:axis], 1, *x.shape[axis:])
        chosen = x.graph.add("Where", kept, apart, x.operand(self.neutral))
        return chosen.reduce(self.reduction, [axis + 1], 0)

    def _in_blocks(self, x: Tensor, axis: int, first_excluded: int) -> Tensor:
        length = x.shape[axis]
        count = -(-length // _BLOCK)
        pads = [(0, 0)] * x.rank
        pads[axis] = (0, count * _BLOCK - length)
        blocks = x.pad(pads, self.neutral).reshape(*x.shape[:axis], count, _BLOCK, *x.shape[axis + 1 :])
        within = self.along(blocks, axis + 1, first_excluded)
        before = self.along(blocks.reduce(self.reduction, [axis + 1]), axis, 1)
        joined = within.binary(self.operator, before).reshape(
            *x.shape[:axis], count * _BLOCK, *x.shape[axis + 1 :]
        )
        return joined.slice(axis, 0, length)


def cumulation(node: Node) -> Outputs:
    """CumSum and CumProd, along an axis that may be computed."""
    x, axis = node[0], node[1]
    is_reverse, exclusive = bool(node.attribute("reverse", 0)), node.attribute("exclusive", 0)
    if node.operator == "CumSum":
        found = _Cumulation("ReduceSum", "Add", 0, is_reverse)
    else:
        found = _Cumulation("ReduceProd", "Mul", 1, is_reverse)
    if axis.array is not None:
        return [found.along(x, int(axis.array.reshape(-1)[0]) % x.rank, exclusive)]
    result = x
    for each in range(x.rank):
        is_this = axis.reshape(1).equals(each) | axis.reshape(1).equals(each - x.rank)
        result = x.graph.add("Where", is_this, found.along(x, each, exclusive), result)
    return [result]


REWRITES: dict[str, Rewrite] = {"CumSum": cumulation, "CumProd": cumulation}
