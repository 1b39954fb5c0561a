"""Vectors that parallel loops may cut off: whole ones have no condition, and cut off ones are shorter vectors."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import s_tir, te, tirx

from search_spaces.target import Target
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.loop_partition import CUT, with_cut_loops
from search_spaces.tensor_ir.loop_versioning import with_loop_versions
from search_spaces.tensor_ir.modules import tvm_target

_ROWS, _VECTORS, _LANES = 3, 2, 8


def tiled(columns: int) -> s_tir.Schedule:
    """Doubles a matrix in parallel blocks of two vectors of eight columns."""
    given = te.placeholder((_ROWS, columns), name="x")
    doubled = te.compute(given.shape, lambda i, j: given[i, j] + given[i, j], name="y")
    schedule = s_tir.Schedule(te.create_prim_func([given, doubled]))
    rows, columns_loop = schedule.get_loops(schedule.get_sblock("y"))
    blocks, vectors, lanes = schedule.split(columns_loop, [None, _VECTORS, _LANES])
    schedule.reorder(blocks, rows, vectors, lanes)
    schedule.parallel(blocks)
    schedule.vectorize(lanes)
    return schedule


def vector_loops(module: tvm.IRModule) -> list[tuple[int, bool]]:
    """The lanes of the vectorised loops in order, and whether a condition is in them."""
    loops = [
        each
        for each in contained_nodes(module["main"].body, tirx.For)
        if each.kind == tirx.ForKind.VECTORIZED
    ]
    return [(int(loop.extent), not isinstance(loop.body.predicate, tirx.IntImm)) for loop in loops]


def doubles(module: tvm.IRModule, target: Target, columns: int) -> None:
    x = np.arange(_ROWS * columns, dtype=np.float32).reshape(_ROWS, columns)
    y = tvm.runtime.tensor(np.zeros_like(x))
    tvm.tirx.build(module, target=tvm_target(target))["main"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), x + x)


@pytest.mark.parametrize("columns", [3, 8, 9, 16, 17, 23, 24, 25, 33, 47, 61])
def test_all_columns_are_computed_by_vectors_without_conditions(target: Target, columns: int) -> None:
    versions = with_loop_versions(tiled(columns).mod)
    doubles(versions, target, columns)
    if columns > _LANES:
        assert not any(has_condition for _, has_condition in vector_loops(versions))


def test_the_last_vector_has_the_columns_that_are_left() -> None:
    assert vector_loops(with_loop_versions(tiled(45).mod)) == [(8, False), (8, False), (5, False)]


def test_whole_tiles_are_left_as_they_are() -> None:
    module = tiled(64).mod
    assert with_loop_versions(module)["main"].same_as(module["main"])


@pytest.mark.parametrize("columns", [17, 40, 45, 61])
def test_the_end_of_a_split_loop_has_versions_as_well(target: Target, columns: int) -> None:
    schedule = tiled(columns)
    blocks, rows, *_ = schedule.get_loops(schedule.get_sblock("y"))
    schedule.reorder(rows, blocks)
    schedule.annotate(blocks, CUT, 1)
    doubles(with_loop_versions(with_cut_loops(schedule.mod)), target, columns)


def test_rows_may_be_cut_off_as_well(target: Target) -> None:
    schedule = tiled(61)
    schedule.split(schedule.get_loops(schedule.get_sblock("y"))[1], [None, 2])
    versions = with_loop_versions(schedule.mod)
    doubles(versions, target, 61)
    assert (_LANES, False) in vector_loops(versions)


@pytest.mark.parametrize("first", [0, 5, 8, 11])
def test_vectors_whose_first_steps_are_cut_off_keep_their_condition(target: Target, first: int) -> None:
    x = te.placeholder((32,), name="x")
    y = te.compute((32,), lambda i: x[i] + x[i], name="y")
    schedule = s_tir.Schedule(te.create_prim_func([x, y]))
    blocks, lanes = schedule.split(schedule.get_loops(schedule.get_sblock("y"))[0], [None, _LANES])
    schedule.parallel(blocks)
    schedule.vectorize(lanes)
    func = schedule.mod["main"]

    def from_first(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        if not realize.iter_values:
            return realize
        return s_tir.SBlockRealize(realize.iter_values, realize.iter_values[0] >= first, realize.block)

    body = tvm_ffi.structural_map(func.body, (s_tir.SBlockRealize, from_first), order="post")
    versions = with_loop_versions(tvm.IRModule({"main": func.with_body(body)}))

    given = np.arange(32, dtype=np.float32)
    found = tvm.runtime.tensor(np.zeros_like(given))
    tvm.tirx.build(versions, target=tvm_target(target))["main"](tvm.runtime.tensor(given), found)
    expected = np.where(np.arange(32) >= first, given + given, 0)
    np.testing.assert_array_equal(found.numpy(), expected)
