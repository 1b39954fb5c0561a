"""Recognition of matrix products, batched ones too, in a TIR function (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import tirx
from tvm.sym import detect_linear_equation
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.fresh_schedule import fresh_schedule

_SPATIAL = int(tirx.IterVar.DataPar)
_REDUCED = int(tirx.IterVar.CommReduce)


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """The block that computes ``C[b, i, j] += A[b, p, i, k] * B[b, p, k, j]``, and what surrounds it.

    axes: places of i, j and k among the block's axes; added: those of axes such as p; all others are batch axes;
    extents: of all axes, in the block's order. left_transposed: A is stored as [k, i]; right_transposed: B as [j, k].
    producers: blocks that compute operands; epilogue: blocks that read the result, in order, the last of which writes
    the output. runs: how many elements of a stored row of A, and of B, lie beside each other in memory.
    """

    block: str
    axes: tuple[int, int, int]
    added: tuple[int, ...]
    extents: tuple[int, ...]
    left_transposed: bool
    right_transposed: bool
    in_dtype: str
    sum_dtype: str
    producers: tuple[str, ...]
    epilogue: tuple[str, ...]
    runs: tuple[int, int]

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

    @property
    def count(self) -> int:
        """The number of products that are added."""
        return prod(self.extents[place] for place in self.added)

    @property
    def batch(self) -> int:
        """The number of sums of products."""
        return prod(self.extents) // (self.rows * self.columns * self.depth * self.count)


def matrix_product(module: tvm.IRModule) -> MatrixProduct | None:
    """The function's one matrix product; None where there is none, or other reductions or views beside it."""
    schedule = fresh_schedule(module)
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    found = [(str(schedule.get(one).name_hint), schedule.get(one)) for one in blocks]
    reductions = [name for name, block in found if not is_spatial(block)]
    if len(reductions) != 1 or len({name for name, _ in found}) != len(found):
        return None
    place = [name for name, _ in found].index(reductions[0])
    name, block = found[place]
    if len(schedule.get_loops(blocks[place])) != len(block.iter_vars):
        return None
    before, after = found[:place], found[place + 1 :]
    if not all(_is_pointwise(one) for _, one in after[:-1]) or not all(
        _has_rows(one) for _, one in after[-1:]
    ):
        return None
    if not _is_chain(block, [one for _, one in after]):
        return None
    return _read(name, block, before, tuple(one for one, _ in after))


def _read(
    name: str, block: Any, producers: list[tuple[str, Any]], epilogue: tuple[str, ...]
) -> MatrixProduct | None:
    operands = factors(block.body)
    if operands is None:
        return None
    left, right, target = operands
    axes = [each.var for each in block.iter_vars]
    kinds = [int(each.iter_type) for each in block.iter_vars]
    reduced = [place for place, kind in enumerate(kinds) if kind == _REDUCED]
    places = [_places(load.indices, axes) for load in (left, right, target)]
    if not reduced or any(one is None for one in places):
        return None
    in_left, in_right, in_target = (list(one or ()) for one in places)
    inner = [place for place in reduced if place in in_left[-2:]]
    added = [place for place in reduced if place not in inner]
    if len(inner) != 1 or any(place not in in_left or place not in in_right for place in added):
        return None
    own_left = [place for place in in_left if place not in in_right]
    own_right = [place for place in in_right if place not in in_left]
    if not own_left or not own_right or len(in_target) < 2:
        return None
    i, j, [k] = own_left[-1], own_right[-1], inner
    is_product = in_target[-2:] == [i, j] and {*in_left[-2:]} == {i, k} and {*in_right[-2:]} == {j, k}
    if not is_product or left.source.dtype != right.source.dtype:
        return None
    return MatrixProduct(
        name,
        (i, j, k),
        tuple(added),
        tuple(int(each.dom.extent) for each in block.iter_vars),
        in_left[-1] == i,
        in_right[-1] == k,
        str(left.source.dtype),
        str(target.source.dtype),
        tuple(each for each, _ in producers),
        epilogue,
        (_run(left.source, producers), _run(right.source, producers)),
    )


def _run(operand: Any, producers: list[tuple[str, Any]]) -> int:
    """Elements of a row of an operand that lie beside each other in memory, of which blocks may make it a matrix."""
    row = int(operand.shape[-1])
    bodies = [each.body for _, each in producers if each.writes[0].source.same_as(operand)]
    if (
        not bodies
        or not isinstance(bodies[0], tirx.BufferStore)
        or isinstance(bodies[0].indices[-1], tirx.Var)
    ):
        return row
    [axes] = [each.iter_vars for _, each in producers if each.body.same_as(bodies[0])]
    written, read = bodies[0].indices[-1], bodies[0].value
    for axis in axes:
        terms = detect_linear_equation(written, [axis.var])
        is_next = len(terms) == 2 and isinstance(terms[0], tirx.IntImm) and int(terms[0]) == 1
        if is_next and isinstance(read, tvm.ir.TensorLoad) and axis.var.same_as(read.indices[-1]):
            return int(axis.dom.extent)
    return 1


def factors(body: Any) -> tuple[Any, Any, Any] | None:
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


def is_spatial(block: Any) -> bool:
    """Whether a block computes each of its results in one step."""
    return all(int(each.iter_type) == _SPATIAL for each in block.iter_vars)


def _is_pointwise(block: Any) -> bool:
    """Whether it writes one element for each step, in the order of its axes."""
    body = block.body
    return isinstance(body, tirx.BufferStore) and _places(body.indices, [e.var for e in block.iter_vars]) == [
        *range(len(block.iter_vars))
    ]


def _has_rows(block: Any) -> bool:
    """Whether it writes one element for each step, those of its last axis beside each other."""
    body, axes = block.body, [each.var for each in block.iter_vars]
    if not isinstance(body, tirx.BufferStore) or not is_spatial(block):
        return False
    *outer, last = body.indices
    return axes[-1].same_as(last) and not any(
        axes[-1].same_as(one) for index in outer for one in undefined_vars(index)
    )


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
