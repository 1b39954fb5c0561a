"""Softmax along rows that do not fill vectors, with reductions over whole ones (imports TVM).

Before: the largest of 197 numbers, one by one; after: the largest of 208, of which the last 11 are -inf, so that a
schedule can take one of every lane of a vector, and then the largest of those. Their powers are 0 in the sum.
"""

from __future__ import annotations

import math

import tvm
from tvm import relax, te, tirx

from search_spaces.tensor_ir.attention import softmax_parts

#: Numbers in the widest vector: a row of a multiple of them fills narrower vectors as well.
_LANES = 16
#: Shorter rows are not reduced in vectors.
_LEAST_STEPS = 2 * _LANES


def legalize_softmax(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """The call of a tensor program; for rows that fill vectors, along other axes and of free length, TVM's own."""
    [data] = call.args
    axis = int(call.attrs.axis) % len(data.ty.shape)
    size = data.ty.shape[axis]
    if axis != len(data.ty.shape) - 1 or not isinstance(size, tirx.IntImm) or not _is_padded(int(size)):
        return tvm.ir.Op.get("relax.nn.softmax").get_attr("FLegalize")(builder, call)
    return builder.call_te(_softmax, data, primfunc_name_hint="softmax")


def _is_padded(size: int) -> bool:
    return size >= _LEAST_STEPS and size % _LANES != 0


def _softmax(data: te.Tensor) -> te.Tensor:
    rows, size = list(data.shape[:-1]), int(data.shape[-1])
    steps = -(-size // _LANES) * _LANES
    nothing = tirx.const(-math.inf, data.dtype)
    padded = te.compute(
        [*rows, steps], lambda *i: tirx.if_then_else(i[-1] < size, data[i], nothing), "padded"
    )
    powers, total = softmax_parts(padded)
    return te.compute(data.shape, lambda *i: powers[i] / total[i[:-1]], "softmax")
