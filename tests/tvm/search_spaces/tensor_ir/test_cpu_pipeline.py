"""Lowering for CPUs: sums on the stack, and prefetches of the panels that follow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.script import tirx as script
from tvm.sym import Analyzer

from autotune.devices.device import local_device
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.packed_panel import Panel, extent, panels
from search_spaces.tensor_ir.panel_prefetch import with_prefetched_panels

TARGET = tvm_target(local_device().target)
LANES = 8
LINE = 16


def packed_product(tiles: int, steps: int, count: int, rows: int = 2, vectors: int = 2) -> tvm.IRModule:
    """x (tiles * rows, steps) times w (count, steps, vectors * 8), tile by tile of each panel."""
    width = vectors * LANES

    @script.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(left: script.handle, right: script.handle, result: script.handle) -> None:
        script.func_attr({"tirx.noalias": True})
        x = script.match_buffer(left, (tiles * rows, steps), "float32")
        w = script.match_buffer(right, (count, steps, width), "float32")
        y = script.match_buffer(result, (tiles * rows, count * width), "float32")
        for panel in script.parallel(count):
            for tile in range(tiles):
                sums = script.alloc_buffer((rows, vectors, LANES), "float32", scope="local")
                for row, vector in script.grid(rows, vectors):
                    for lane in script.vectorized(LANES):
                        sums[row, vector, lane] = script.float32(0)
                for k in range(steps):
                    for row in script.unroll(rows):
                        for vector in script.unroll(vectors):
                            for lane in script.vectorized(LANES):
                                sums[row, vector, lane] = (
                                    sums[row, vector, lane]
                                    + x[tile * rows + row, k] * w[panel, k, vector * LANES + lane]
                                )
                for row, vector in script.grid(rows, vectors):
                    for lane in script.vectorized(LANES):
                        y[tile * rows + row, panel * width + vector * LANES + lane] = sums[row, vector, lane]

    return tvm.IRModule({"main": main})


def lowered(module: tvm.IRModule) -> tvm.IRModule:
    lowering, _, _ = s_tir.pipeline.default_s_tir_pipeline()
    return lowering(tirx.transform.BindTarget(TARGET.with_host(TARGET))(module))


def prefetched(module: tvm.IRModule) -> list[Any]:
    """The indices that are fetched ahead."""
    found: list[Any] = []

    def note(call: Any) -> None:
        if getattr(call.op, "name", "") == "tirx.address_of":
            found.append(call.args[0].indices[0])

    tvm_ffi.structural_walk(with_prefetched_panels(module)["main"].body, (tvm.ir.Call, note))
    return found


def visits(panel: Panel, indices: list[Any]) -> Iterator[tuple[int, set[int]]]:
    """For each tile, in order: where its panel starts, and the lines that it fetches."""
    analyzer = Analyzer()
    for outer in product(*(range(extent(loop)) for loop in panel.outer)):
        lines, start = set(), -1
        for inner in product(*(range(extent(loop)) for loop in panel.inner)):
            loops, steps = (*panel.outer, *panel.inner), (*outer, *inner)
            values = {
                loop.loop_var: tirx.IntImm("int32", step) for loop, step in zip(loops, steps, strict=True)
            }

            def at(expression: Any, values: dict[Any, Any] = values) -> int:
                known = tvm_ffi.structural_map(expression, (tvm.ir.Var, lambda var: values.get(var, var)))
                return int(analyzer.simplify(known))

            start = at(panel.start) if start < 0 else start
            lines |= {at(index) // LINE for index in indices}
        yield start, lines


@pytest.mark.parametrize(
    ("tiles", "steps", "count", "vectors"),
    [(2, 8, 3, 2), (3, 5, 4, 2), (5, 6, 2, 2), (20, 4, 3, 2), (2, 6, 3, 6)],
)
def test_tiles_of_a_panel_fetch_all_of_the_next_one(tiles: int, steps: int, count: int, vectors: int) -> None:
    module = lowered(packed_product(tiles, steps, count, vectors=vectors))
    [panel] = panels(module["main"].body)
    size = panel.steps * panel.width
    fetched: dict[int, set[int]] = {}
    for start, lines in visits(panel, prefetched(module)):
        fetched.setdefault(start, set()).update(lines)

    assert prod(extent(loop) for loop in panel.outer) == tiles * count
    assert (panel.steps, panel.width) == (steps, vectors * LANES)
    assert sorted(fetched) == [place * size for place in range(count)]
    for start, lines in fetched.items():
        following = (start + size) % (count * size)
        assert lines >= set(range(following // LINE, (following + size) // LINE))
        assert max(lines) < count * size // LINE


@pytest.mark.parametrize(
    ("tiles", "steps", "rows"),
    [(1, 8, 2), (65, 4, 2), (4, 1 << 13, 2)],
    ids=["one tile a panel", "too many tiles", "larger than the cache"],
)
def test_nothing_is_fetched_where_it_does_not_pay(tiles: int, steps: int, rows: int) -> None:
    module = lowered(packed_product(tiles, steps, 3, rows))
    assert len(list(panels(module["main"].body))) == 1
    assert prefetched(module) == []


def test_nothing_is_fetched_where_sums_are_in_a_workspace() -> None:
    assert list(panels(lowered(packed_product(3, 8, 3, rows=70))["main"].body)) == []


def test_sums_of_a_tile_stay_in_registers() -> None:
    module = packed_product(3, 64, 4, rows=4)
    built = tvm.compile(module, TARGET, tir_pipeline=CPU_PIPELINE)
    arrays = [
        np.random.default_rng(0).standard_normal(shape, np.float32) for shape in ((12, 64), (4, 64, 16))
    ]
    tensors = [tvm.runtime.tensor(array) for array in (*arrays, np.zeros((12, 64), np.float32))]
    built["main"](*tensors)

    expected = np.einsum("mk,pkn->mpn", *arrays).reshape(12, 64)
    np.testing.assert_allclose(tensors[2].numpy(), expected, rtol=1e-4, atol=1e-4)
    code = built.mod.inspect_source("ll")
    assert "load ptr, ptr @__TVMBackendAllocWorkspace" not in code
    loops = [block for block in code.split("\n\n") if "call void @llvm.prefetch" in block]
    assert loops
    assert not any("store" in block for block in loops)
