"""Convolutions, and other contractions of several axes, as matrix products over these axes fused (imports TVM).

An implicit GEMM: ``C[n, h, w, o] += X[n, h + p, w + q, i] * W[p, q, i, o]`` is a sum of p·q products of n·h·w rows,
o columns and i steps; where i is small, one product of p·q·i steps. The matrices of X are never stored: the block that
computes them is left to be inlined where tiles of them are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.fresh_schedule import fresh_schedule
from search_spaces.tensor_ir.matrix_product import MatrixProduct, factors, is_spatial, matrix_product

#: Smaller products have nothing to share, and shorter sums fill no instruction.
LEAST_SIZE = 16
_REDUCED = int(tirx.IterVar.CommReduce)


_Groups = Sequence[Sequence[int]]


@dataclass(frozen=True)
class _Roles:
    """Places of a block's axes, in the order that they are fused in: of products that are added, and of each one's
    rows, columns and steps."""

    products: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    steps: tuple[int, ...]


def product_form(module: tvm.IRModule) -> tuple[tvm.IRModule, MatrixProduct] | None:
    """The module that sketches for tensor cores schedule, and the product in it: the module itself, or its contraction
    as a product of matrices; None where there is neither."""
    schedule = product_schedule(module)
    product = None if schedule is None else matrix_product(schedule.mod)
    return None if schedule is None or product is None else (schedule.mod, product)


def product_schedule(module: tvm.IRModule) -> s_tir.Schedule | None:
    """A schedule of the module that has brought it to its `product_form`, and whose trace says how; None where it has
    none."""
    schedule = fresh_schedule(module)
    if matrix_product(module) is not None:
        return schedule
    try:
        return schedule if _make_matrix_product(schedule) else None
    except (RuntimeError, ValueError, TypeError):
        # TVM cannot move what surrounds the contraction.
        return None


def _make_matrix_product(schedule: s_tir.Schedule) -> bool:
    """Makes the one contraction a product of two matrices, and puts what follows it into one block over rows and
    columns; False where there is none whose rows and columns fuse.

    Raises what TVM raises where it cannot move what surrounds the contraction.
    """
    blocks = [schedule.get(each) for each in schedule.get_child_blocks(schedule.get_sblock("root"))]
    names = [str(each.name_hint) for each in blocks]
    contractions = [each for each in blocks if not is_spatial(each)]
    if len(contractions) != 1 or len({*names}) != len(names):
        return False
    roles = _roles(contractions[0])
    if roles is None:
        return False
    block = schedule.get_sblock(str(contractions[0].name_hint))
    _store_matrices(schedule, block, roles)
    last = last_after(schedule, block)
    count = len(roles.rows)
    outer = _outer(roles)
    schedule.transform_block_layout(
        last, _fused(_extents(schedule, last), (range(count), range(count, count + len(roles.columns))))
    )
    schedule.transform_block_layout(
        block, _fused(_extents(schedule, block), (*outer, roles.rows, roles.columns, roles.steps))
    )
    return True


def last_after(schedule: s_tir.Schedule, block: Any) -> Any:
    """The block that writes the operator's result, into which all others after this one are inlined; None where this
    one does."""
    consumers = list(schedule.get_consumers(block))
    if not consumers:
        return None
    [following] = consumers
    while after := list(schedule.get_consumers(following)):
        schedule.compute_inline(following)
        [following] = after
    return following


def _store_matrices(schedule: s_tir.Schedule, block: Any, roles: _Roles) -> None:
    """Has the block read and write matrices, which other blocks copy from and to the tensors."""
    found = schedule.get(block)
    operands = factors(found.body)
    assert operands is not None, "it has roles"
    left, right, _ = operands
    sources = [each.source for each in found.reads]
    last = {*undefined_vars(right.indices[-1])}
    outer = _outer(roles)
    is_by_steps = any(found.iter_vars[place].var in last for place in roles.columns)
    shapes = {
        sources.index(left.source): (*outer, roles.rows, roles.steps),
        sources.index(right.source): (*outer, roles.steps, roles.columns)
        if is_by_steps
        else (*outer, roles.columns, roles.steps),
    }
    for place, groups in shapes.items():
        schedule.reindex(block, ("read", place))
        region = schedule.get(block).reads[place].region
        schedule.transform_layout(block, ("read", place), _matrix(schedule.get(block), region, groups))
    schedule.reindex(block, ("write", 0))
    region = schedule.get(block).writes[0].region
    groups = (roles.rows, roles.columns)
    schedule.transform_layout(block, ("write", 0), _matrix(schedule.get(block), region, groups))


def _outer(roles: _Roles) -> list[tuple[int, ...]]:
    return [roles.products] if roles.products else []


def _matrix(block: Any, region: Any, groups: _Groups) -> tirx.IndexMap:
    """The map of a tensor, whose indices are axes of a block, to a matrix of these axes fused."""
    axes = [each.var for each in block.iter_vars]
    # Axes with one step are none of a tensor's.
    present = [next(place for place, axis in enumerate(axes) if axis.same_as(each.min)) for each in region]
    extents = [int(block.iter_vars[place].dom.extent) for place in present]
    return _fused(
        extents, [[present.index(place) for place in group if place in present] for group in groups]
    )


def _fused(extents: list[int], groups: _Groups) -> tirx.IndexMap:
    """The map of indices to one index for each group of them, the last of a group innermost."""
    variables = [tirx.Var(f"i{place}", "int32") for place in range(len(extents))]
    fused = [tirx.const(0, "int32")] * len(groups)
    for number, group in enumerate(groups):
        for place in group:
            fused[number] = fused[number] * extents[place] + variables[place]
    return tirx.IndexMap(variables, fused, None)


def _extents(schedule: s_tir.Schedule, block: Any) -> list[int]:
    return [int(each.dom.extent) for each in schedule.get(block).iter_vars]


def _dimension(load: Any, axis: Any) -> int | None:
    """The last dimension whose index depends on an axis."""
    found = [
        place
        for place, index in enumerate(load.indices)
        if any(axis.same_as(v) for v in undefined_vars(index))
    ]
    return found[-1] if found else None


def _roles(block: Any) -> _Roles | None:
    """The roles of the axes of a block that adds products of two tensors; None where an axis has another."""
    found = factors(block.body)
    axes = [each.var for each in block.iter_vars]
    if found is None or any(not isinstance(each.dom.extent, tirx.IntImm) for each in block.iter_vars):
        return None
    left, right, target = ([_dimension(load, axis) for axis in axes] for load in found)
    reduced = [int(each.iter_type) == _REDUCED for each in block.iter_vars]
    roles: dict[str, list[int]] = {"rows": [], "columns": [], "steps": []}
    for place, is_reduced in enumerate(reduced):
        within = (left[place] is not None, right[place] is not None, target[place] is not None)
        if is_reduced and within == (True, True, False):
            roles["steps"].append(place)
        elif not is_reduced and within in ((True, False, True), (False, True, True)):
            roles["rows" if within[0] else "columns"].append(place)
        else:
            return None
    rows, columns = (
        sorted(roles[name], key=lambda place: target[place] or 0) for name in ("rows", "columns")
    )
    steps = sorted(roles["steps"], key=lambda place: left[place] or 0)
    # Results lie in memory by rows, then by columns.
    is_stored_so = [target[place] for place in (*rows, *columns)] == [*range(len(rows) + len(columns))]
    if not rows or not columns or not steps or not is_stored_so:
        return None
    *outer, last = (int(block.iter_vars[place].dom.extent) for place in steps)
    added = steps[:-1] if prod(outer) > 1 and last >= LEAST_SIZE else []
    return _Roles(tuple(added), tuple(rows), tuple(columns), tuple(steps[len(added) :]))
