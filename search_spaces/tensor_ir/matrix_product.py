"""Recognition of matrix products, batched ones too, in a TIR function (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import s_tir, tirx

_SPATIAL = int(tirx.IterVar.DataPar)
_REDUCED = int(tirx.IterVar.CommReduce)


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """The block that computes ``C[b, i, j] += A[b, i, k] * B[b, k, j]``, and what surrounds it.

    axes: places of i, j and k among the block's axes; all others are batch axes; extents: of all axes, in the block's
    order. left_transposed: A is stored as [k, i]; right_transposed: B as [j, k]. producers: blocks that compute
    operands; epilogue: blocks that read the result, in order, the last of which writes the output.
    """

    block: str
    axes: tuple[int, int, int]
    extents: tuple[int, ...]
    left_transposed: bool
    right_transposed: bool
    in_dtype: str
    sum_dtype: str
    producers: tuple[str, ...]
    epilogue: tuple[str, ...]

    @property
    def rows(self) -> int:
        """The extent of i."""
        return self.extents[self.axes[0]]

    @property
    def columns(self) -> int:
        """The extent of j."""
        return self.extents[self.axes[1]]

    @property
    def depth(self) -> int:
        """The extent of k."""
        return self.extents[self.axes[2]]


def matrix_product(module: tvm.IRModule) -> MatrixProduct | None:
    """The function's one matrix product; None where there is none, or other reductions or views beside it."""
    schedule = s_tir.Schedule(module, seed=1, debug_mask="none", error_render_level="none")
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    found = [(str(schedule.get(one).name_hint), schedule.get(one)) for one in blocks]
    reductions = [name for name, block in found if not _is_spatial(block)]
    if len(reductions) != 1 or len({name for name, _ in found}) != len(found):
        return None
    place = [name for name, _ in found].index(reductions[0])
    name, block = found[place]
    if len(schedule.get_loops(blocks[place])) != len(block.iter_vars):
        return None
    before, after = found[:place], found[place + 1 :]
    if not all(_is_pointwise(one) for _, one in after) or not _is_chain(block, [one for _, one in after]):
        return None
    return _read(name, block, tuple(one for one, _ in before), tuple(one for one, _ in after))


def _read(
    name: str, block: Any, producers: tuple[str, ...], epilogue: tuple[str, ...]
) -> MatrixProduct | None:
    operands = _factors(block.body)
    if operands is None:
        return None
    left, right, target = operands
    axes = [each.var for each in block.iter_vars]
    kinds = [int(each.iter_type) for each in block.iter_vars]
    reduced = [place for place, kind in enumerate(kinds) if kind == _REDUCED]
    places = [_places(load.indices, axes) for load in (left, right, target)]
    if len(reduced) != 1 or any(one is None for one in places):
        return None
    in_left, in_right, in_target = (list(one or ()) for one in places)
    own_left = [place for place in in_left if place not in in_right]
    own_right = [place for place in in_right if place not in in_left]
    if not own_left or not own_right or len(in_target) < 2:
        return None
    i, j, [k] = own_left[-1], own_right[-1], reduced
    is_product = in_target[-2:] == [i, j] and {*in_left[-2:]} == {i, k} and {*in_right[-2:]} == {j, k}
    if not is_product or left.source.dtype != right.source.dtype:
        return None
    return MatrixProduct(
        name,
        (i, j, k),
        tuple(int(each.dom.extent) for each in block.iter_vars),
        in_left[-1] == i,
        in_right[-1] == k,
        str(left.source.dtype),
        str(target.source.dtype),
        producers,
        epilogue,
    )


def _factors(body: Any) -> tuple[Any, Any, Any] | None:
    """The two factors' loads and the sum's, of ``C = C + A * B`` with or without casts."""
    if not isinstance(body, tirx.BufferStore) or not isinstance(body.value, tirx.Add):
        return None
    total, product = body.value.a, body.value.b
    if not isinstance(total, tvm.ir.TensorLoad) or not isinstance(product, tirx.Mul):
        return None
    loads = [each.value if isinstance(each, tirx.Cast) else each for each in (product.a, product.b)]
    if not all(isinstance(each, tvm.ir.TensorLoad) for each in loads):
        return None
    return loads[0], loads[1], total


def _places(indices: Any, axes: list[Any]) -> list[int] | None:
    """Places of the axes that are the indices; None where an index is anything else, or repeated."""
    found = [next((place for place, axis in enumerate(axes) if axis.same_as(one)), -1) for one in indices]
    return None if -1 in found or len(set(found)) != len(found) else found


def _is_spatial(block: Any) -> bool:
    return all(int(each.iter_type) == _SPATIAL for each in block.iter_vars)


def _is_pointwise(block: Any) -> bool:
    """Whether it writes one element for each step, in the order of its axes."""
    body = block.body
    return isinstance(body, tirx.BufferStore) and _places(body.indices, [e.var for e in block.iter_vars]) == [
        *range(len(block.iter_vars))
    ]


def _is_chain(product: Any, blocks: list[Any]) -> bool:
    """Whether each block reads the result of the one before it at the element that it writes, and none is read
    anywhere else."""
    source = product.writes[0].source
    for place, block in enumerate(blocks):
        reads = [each for each in block.reads if each.source.same_as(source)]
        axes = [each.var for each in block.iter_vars]
        starts = [[bound.min for bound in each.region] for each in reads]
        if len(reads) != 1 or _places(starts[0], axes) != [*range(len(axes))]:
            return False
        later = [each.source for other in blocks[place + 1 :] for each in other.reads]
        if any(each.same_as(source) for each in later):
            return False
        source = block.writes[0].source
    return True
