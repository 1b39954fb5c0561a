"""Threads are not woken for each iteration of a serial loop, unless there is enough for them to do."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import te, tirx, topi

from autotune.devices.device import local_device
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.modules import tvm_target

TARGET = tvm_target(local_device().target)


def scatter(rows: int, columns: int) -> tvm.IRModule:
    """Rows added to rows of a table at places that are given."""
    table = te.placeholder((9, columns), name="table")
    places = te.placeholder((1, rows), dtype="int64", name="places")
    added = te.placeholder((rows, columns), name="added")
    func = te.create_prim_func([table, places, added, topi.scatter_nd(table, places, added, "add")])
    return tvm.IRModule({"main": func.with_attr("global_symbol", "main")})


def parallel_loops(module: tvm.IRModule) -> int:
    loops = contained_nodes(module["main"].body, tirx.For)
    return sum(loop.kind == tirx.ForKind.PARALLEL for loop in loops)


@pytest.mark.parametrize(("columns", "left"), [(64, 0), (20_000, 1)])
def test_a_scatter_of_short_rows_runs_on_one_thread(columns: int, left: int) -> None:
    module = scatter(12, columns)
    assert parallel_loops(module) == 1

    assert parallel_loops(kernel_passes(module)) == left


def test_it_adds_the_same() -> None:
    rng = np.random.default_rng(0)
    table, added = (rng.standard_normal((rows, 64)).astype(np.float32) for rows in (9, 12))
    places = rng.integers(0, 9, (1, 12))
    passed = [tvm.runtime.tensor(each) for each in (table, places, added, np.zeros_like(table))]

    tvm.compile(kernel_passes(scatter(12, 64)), TARGET, tir_pipeline=CPU_PIPELINE)["main"](*passed)

    np.add.at(table, places[0], added)
    np.testing.assert_allclose(passed[-1].numpy(), table, rtol=1e-5)


def test_an_outer_parallel_loop_stays_parallel() -> None:
    x = te.placeholder((64, 64), name="x")
    func = te.create_prim_func([x, topi.nn.relu(x)]).with_attr("global_symbol", "main")
    schedule = tvm.s_tir.Schedule(func)
    [block] = schedule.get_child_blocks(schedule.get_sblock("root"))
    schedule.parallel(schedule.get_loops(block)[0])

    assert parallel_loops(kernel_passes(schedule.mod)) == 1
