"""Loops of a model's functions, whose variables have 64 bits, are split where a condition in them turns false."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T  # noqa: N812 - TVMScript's own name

from search_spaces.target import Target
from search_spaces.tensor_ir.loop_partition import CUT, with_cut_loops
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.silu_underflow import with_normal_silu


def rows_of_six(bits: str) -> tvm.IRModule:
    """Doubles 20 numbers in pieces of six, the last of which has two."""
    given = te.placeholder((tvm.tirx.const(20, bits),), name="x")
    doubled = te.compute(given.shape, lambda i: given[i] + given[i], name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([given, doubled]))
    [loop] = schedule.get_loops(schedule.get_sblock("y"))
    piece, _ = schedule.split(loop, [None, 6])
    schedule.annotate(piece, CUT, 1)
    return schedule.mod


def lowered(module: tvm.IRModule, target: Target, after: str) -> tuple[tvm.runtime.Module, str]:
    """The module built, and its text as the last pass of that name left it."""
    texts: list[str] = []

    @tvm.instrument.pass_instrument
    class Reading:
        def run_after_pass(self, module: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
            if info.name == after:
                texts.append(module.script())

    with tvm.transform.PassContext(opt_level=3, instruments=[Reading()]):
        return tvm.tirx.build(module, target=tvm_target(target)), texts[-1]


def compiled(module: tvm.IRModule, target: Target) -> tuple[tvm.runtime.Module, list[str]]:
    """The module built, and its loops right after TVM split them."""
    kernel, text = lowered(module, target, "s_tir.LoopPartition")
    return kernel, re.findall(r"for .* in (.*):", text)


@pytest.mark.parametrize("bits", ["int32", "int64"])
def test_the_end_is_a_loop_of_its_own(target: Target, bits: str) -> None:
    built, loops = compiled(with_cut_loops(rows_of_six(bits)), target)
    assert loops == ["T.grid(3, 6)", "range(6)"]
    x = np.arange(20, dtype=np.float32)
    y = tvm.runtime.tensor(np.zeros_like(x))
    built["main"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), x + x)


def test_functions_without_such_loops_are_left_as_they_are() -> None:
    given = te.placeholder((4,), name="x")
    module = tvm.IRModule({"main": te.create_prim_func([given, te.compute((4,), lambda i: given[i] + 1)])})
    assert with_cut_loops(module)["main"].same_as(module["main"])


def test_loops_that_compute_with_wide_integers_stay(target: Target) -> None:
    given = te.placeholder((tvm.tirx.const(20, "int64"),), name="x")
    wide = te.compute(given.shape, lambda i: given[i].astype("int64") * (1 << 33), name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([given, wide]))
    [loop] = schedule.get_loops(schedule.get_sblock("y"))
    piece, _ = schedule.split(loop, [None, 6])
    schedule.annotate(piece, CUT, 1)

    kernel, _ = compiled(with_cut_loops(schedule.mod), target)

    x, y = np.arange(20, dtype=np.float32), np.zeros(20, np.int64)
    result = tvm.runtime.tensor(y)
    kernel["main"](tvm.runtime.tensor(x), result)
    np.testing.assert_array_equal(result.numpy(), x.astype(np.int64) << 33)


@T.prim_func(s_tir=True)
def rows_of_two_operands(
    first: T.Buffer((4, 57), "float32"),
    second: T.Buffer((4, 19), "float32"),
    both: T.Buffer((4, 19), "float32"),
) -> None:
    """The first two rows of one, which are longer, the last two of the other, from the last to the first."""
    for row in range(4):
        for column in T.serial(19, annotations={"pragma_loop_partition_hint": 1}):
            with T.sblock("both"):
                i = T.axis.spatial(4, 3 - row)
                j = T.axis.spatial(19, column)
                both[i, j] = T.if_then_else(i * 19 + j >= 38, second[i, j], first[i, j])


def test_a_condition_that_an_outer_loop_shifts_out_of_the_loop_does_not_lengthen_it(target: Target) -> None:
    built, loops = compiled(with_cut_loops(tvm.IRModule({"main": rows_of_two_operands})), target)

    first = np.arange(4 * 57, dtype=np.float32).reshape(4, 57)
    second = -np.arange(4 * 19, dtype=np.float32).reshape(4, 19)
    both = tvm.runtime.tensor(np.zeros_like(second))
    built["main"](tvm.runtime.tensor(first), tvm.runtime.tensor(second), both)
    np.testing.assert_array_equal(both.numpy(), np.concatenate([first[:2, :19], second[2:]]))
    assert loops == ["T.grid(4, 19)"]


def silu_of_columns(columns: int, lanes: int, vectors: int = 1) -> tvm.IRModule:
    """A SiLU of five rows, whose columns are vectors of so many numbers, and blocks of so many vectors."""
    given = te.placeholder((5, columns), name="x")
    silu = te.compute(given.shape, lambda i, j: topi.multiply(given, topi.sigmoid(given))[i, j], name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([given, silu]))
    for block in schedule.get_child_blocks(schedule.get_sblock("root"))[:-1]:
        schedule.compute_inline(block)
    _, column = schedule.get_loops(schedule.get_sblock("y"))
    blocks, inner, vector = schedule.split(column, [None, vectors, lanes])
    schedule.annotate(blocks, CUT, 1)
    schedule.unroll(inner)
    schedule.vectorize(vector)
    return schedule.mod


def silu_kernel(module: tvm.IRModule, target: Target) -> tuple[tvm.runtime.Module, set[int], bool]:
    """The module built, the lanes of its vectors, and whether any is computed number by number on a condition."""
    kernel, text = lowered(with_cut_loops(with_normal_silu(module)), target, "tirx.RemoveNoOp")
    lanes = {int(each) for each in re.findall(r"T.float32\(0.0\), (\d+)\)", text)}
    return kernel, lanes, " if " in text


@pytest.mark.parametrize(
    ("columns", "vectors", "lanes"),
    [(42, 1, {8, 2}), (47, 1, {8, 7}), (42, 2, {8, 2}), (42, 3, {8, 2}), (48, 2, {8}), (21, 3, {8, 5})],
)
def test_the_last_vector_is_as_long_as_what_is_left(
    columns: int, vectors: int, lanes: set[int], target: Target
) -> None:
    kernel, found, has_condition = silu_kernel(silu_of_columns(columns, 8, vectors), target)

    assert found == lanes
    assert not has_condition
    check_silu(kernel, columns)


def test_vectors_stay_whole_where_more_than_the_last_step_decides(target: Target) -> None:
    one_vector_left = silu_of_columns(33, 8, 3)
    kernel, _, has_condition = silu_kernel(one_vector_left, target)

    assert has_condition
    check_silu(kernel, 33)


def check_silu(kernel: tvm.runtime.Module, columns: int) -> None:
    x = np.random.default_rng(0).standard_normal((5, columns)).astype(np.float32)
    y = tvm.runtime.tensor(np.full_like(x, np.nan))
    kernel["main"](tvm.runtime.tensor(x), y)
    np.testing.assert_allclose(y.numpy(), x / (1 + np.exp(-x)), rtol=1e-5)


def reflected(dtype: str) -> tvm.IRModule:
    """Where a row of 13 numbers between reflected ends, in two pieces of eight, is positive, through another type."""
    given = te.placeholder((tvm.tirx.const(13, "int64"),), name="x")

    def place(i: tvm.tirx.Var) -> tvm.ir.PrimExpr:
        inner = tvm.tirx.if_then_else(i < 1, 1 - i, i - 1)
        return tvm.tirx.if_then_else(i >= 14, 25 - i, inner)

    wide = (tvm.tirx.const(16, "int64"),)
    padded = te.compute(wide, lambda i: given[place(i)], name="padded")
    positive = te.compute(wide, lambda i: (padded[i] > 0).astype(dtype), name="positive")
    scaled = te.compute(wide, lambda i: (positive[i].astype("int64") > 0).astype("float32"), name="scaled")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([given, scaled]))
    [loop] = schedule.get_loops(schedule.get_sblock("padded"))
    piece, lanes = schedule.split(loop, [None, 8])
    schedule.vectorize(lanes)
    schedule.annotate(piece, CUT, 1)
    return schedule.mod


@pytest.mark.parametrize("dtype", ["bool", "int32"])
def test_places_in_loops_of_wide_integers(dtype: str, target: Target) -> None:
    module = with_cut_loops(reflected(dtype))

    x, y = np.random.default_rng(0).standard_normal(13).astype(np.float32), np.zeros(16, np.float32)
    result = tvm.runtime.tensor(y)
    compiled(module, target)[0]["main"](tvm.runtime.tensor(x), result)
    np.testing.assert_array_equal(result.numpy(), np.pad(x, (1, 2), "reflect") > 0)
    # Truth values need no 64 bits.
    assert (CUT in module.script()) == (dtype == "bool")
