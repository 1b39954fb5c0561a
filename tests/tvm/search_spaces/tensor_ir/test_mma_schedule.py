"""Products on tensor cores: the CUDA C++ of random answers is run, instruction by instruction, on a CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tvm
from mma_programs import cuda_source, drawn, result, space_of, values
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.measurement.guarded_array import Array
from search_spaces.target import Target
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.mma_formats import FORMATS, MmaFormat
from search_spaces.tensor_ir.mma_tiles import Capacity, block_tiles, fragment_registers, shared_bytes


def product(
    rows: int, columns: int, depth: int, dtype: str = "float16", layout: str = "nn", batch: int = 0
) -> tvm.tirx.PrimFunc:
    """A product summed in 32 bits; layout: of either operand, t where it is transposed."""
    lead = (batch,) if batch else ()
    left = te.placeholder((*lead, *((depth, rows) if layout[0] == "t" else (rows, depth))), dtype, name="a")
    right = te.placeholder(
        (*lead, *((columns, depth) if layout[1] == "t" else (depth, columns))), dtype, name="b"
    )
    k = te.reduce_axis((0, depth), "k")
    total = "int32" if dtype == "int8" else "float32"

    def element(*at: tvm.tirx.Var) -> tvm.ir.PrimExpr:
        *outer, i, j = at
        a = left[(*outer, *((k, i) if layout[0] == "t" else (i, k)))]
        b = right[(*outer, *((j, k) if layout[1] == "t" else (k, j)))]
        return te.sum(a.astype(total) * b.astype(total), axis=k)

    return te.create_prim_func([left, right, te.compute((*lead, rows, columns), element, name="p")])


def dense_relu(rows: int, columns: int, depth: int) -> tvm.tirx.PrimFunc:
    """A product, rounded, with a bias and ReLU behind it."""
    left = te.placeholder((rows, depth), "float16", name="a")
    right = te.placeholder((depth, columns), "float16", name="b")
    bias, k = te.placeholder((columns,), "float16", name="c"), te.reduce_axis((0, depth), "k")
    summed = te.compute(
        (rows, columns),
        lambda i, j: te.sum(left[i, k].astype("float32") * right[k, j].astype("float32"), axis=k),
        name="p",
    )
    half = te.compute((rows, columns), lambda i, j: summed[i, j].astype("float16"), name="h")
    shifted = te.compute((rows, columns), lambda i, j: half[i, j] + bias[j], name="s")
    zero = tvm.tirx.const(0, "float16")
    relu = te.compute((rows, columns), lambda i, j: te.max(shifted[i, j], zero), name="r")
    return te.create_prim_func([left, right, bias, relu])


CASES: dict[str, tuple[Callable[[], tvm.tirx.PrimFunc], Callable[[], list[Array]], str]] = {
    "plain": (lambda: product(64, 64, 128), lambda: [values((64, 128)), values((128, 64))], "ik,kj->ij"),
    "rows do not divide": (
        lambda: product(50, 40, 72),
        lambda: [values((50, 72)), values((72, 40))],
        "ik,kj->ij",
    ),
    "no size divides": (
        lambda: product(50, 40, 75),
        lambda: [values((50, 75)), values((75, 40))],
        "ik,kj->ij",
    ),
    "right transposed": (
        lambda: product(64, 32, 64, layout="nt"),
        lambda: [values((64, 64)), values((32, 64))],
        "ik,jk->ij",
    ),
    "left transposed": (
        lambda: product(64, 32, 64, layout="tn"),
        lambda: [values((64, 64)), values((64, 32))],
        "ki,kj->ij",
    ),
    "batched": (
        lambda: product(32, 48, 40, batch=3),
        lambda: [values((3, 32, 40)), values((3, 40, 48))],
        "bik,bkj->bij",
    ),
    "bfloat16": (
        lambda: product(64, 64, 64, "bfloat16", "nt"),
        lambda: [values((64, 64), ml_dtypes.bfloat16), values((64, 64), ml_dtypes.bfloat16)],
        "ik,jk->ij",
    ),
    "int8": (
        lambda: product(50, 40, 72, "int8"),
        lambda: [values((50, 72), np.int8), values((72, 40), np.int8)],
        "ik,kj->ij",
    ),
    "int8 left transposed": (
        lambda: product(64, 32, 96, "int8", "tt"),
        lambda: [values((96, 64), np.int8), values((32, 96), np.int8)],
        "ki,jk->ij",
    ),
    "float32 in two parts": (
        lambda: product(50, 40, 72, "float32"),
        lambda: [values((50, 72), np.float32), values((72, 40), np.float32)],
        "ik,kj->ij",
    ),
    "float32 left transposed": (
        lambda: product(32, 48, 40, "float32", "tt", batch=2),
        lambda: [values((2, 40, 32), np.float32), values((2, 48, 40), np.float32)],
        "bki,bjk->bij",
    ),
}


QUICK = ("rows do not divide", "right transposed")


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=() if one in QUICK else pytest.mark.long) for one in CASES]
)
def test_the_cuda_source_of_random_answers_computes_the_product(case: str, tmp_path: Path) -> None:
    func, inputs, formula = CASES[case]
    arrays = inputs()
    expected = np.einsum(formula, *(one.astype(np.float32) for one in arrays))
    found = result(drawn(space_of(func()), seed=len(case)), arrays, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_follows_a_product_is_computed_where_it_is_written(tmp_path: Path) -> None:
    left, right, bias = values((50, 64)), values((64, 32)), values((32,))
    candidate = drawn(space_of(dense_relu(50, 32, 64)), seed=3)
    summed = (left.astype(np.float32) @ right.astype(np.float32)).astype(np.float16)
    found = result(candidate, [left, right, bias], tmp_path)
    np.testing.assert_allclose(found, np.maximum(summed + bias, np.float16(0)), rtol=2e-3, atol=2e-3)
    assert cuda_source(candidate).count("__global__ void __launch_bounds__") == 2, (
        "declared and defined: one kernel"
    )


def test_sources_use_the_instructions_for_tensor_cores() -> None:
    source = cuda_source(drawn(space_of(product(256, 256, 256)), seed=1))
    assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in source
    assert "ldmatrix.sync.aligned.m8n8.x4" in source
    assert "cp.async.cg.shared.global" in source
    barriers = [found.start() for found in re.finditer("__syncthreads", source)]
    assert source.rindex("mma.sync") < barriers[-2], "sums are stored where others read operands"


def test_stored_traces_give_the_same_programs() -> None:
    space = space_of(product(96, 64, 64))
    candidate = drawn(space, seed=2)
    assert candidate.trace is not None
    again = space.replay(candidate.config, candidate.trace)
    tvm.ir.assert_structural_equal(again.schedule.mod, candidate.schedule.mod)


def test_programs_for_tensor_cores_survive_their_text() -> None:
    module = drawn(space_of(product(96, 64, 64)), seed=2).schedule.mod
    tvm.ir.assert_structural_equal(modules.load(modules.dump(module)), module)


def test_few_results_with_long_sums_are_computed_in_parts_too() -> None:
    wide = [sketch.name for sketch in space_of(product(2048, 2048, 2048)).sketches]
    assert not any("split" in name for name in wide)
    space = space_of(dense_relu(50, 32, 2048))
    split = [sketch.name for sketch in space.sketches if "split" in sketch.name]
    assert split
    first = space.apply(lambda one: one.choices.index(split[0]) if one.name == "sketch" else 0)
    assert cuda_source(first).count("__global__ void __launch_bounds__") == 4, (
        "declared and defined: two kernels"
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_narrow_products_are_computed_on_tensor_cores_only(dtype: str) -> None:
    assert all(sketch.is_tensorized for sketch in space_of(product(64, 64, 64, dtype)).sketches)


def test_products_of_float32_are_computed_on_either_unit() -> None:
    kinds = {sketch.is_tensorized for sketch in space_of(product(64, 64, 64, "float32")).sketches}
    assert kinds == {True, False}


def test_what_tensor_cores_do_not_compute_gets_no_sketches_for_them() -> None:
    doubles = te.create_prim_func(te_workload.matmul(64, 64, 64, "float64", "float64"))
    older = space_of(product(64, 64, 64), Target("nvidia/nvidia-t4"))
    for space in (space_of(doubles), older):
        assert not any(sketch.is_tensorized for sketch in space.sketches)


def test_float32_in_two_parts_is_as_exact_as_float32(tmp_path: Path) -> None:
    left, right = values((32, 512), np.float32), values((512, 32), np.float32)
    left[0, 0], right[1, 1] = 3e38, np.inf
    right[0, 0] = 0
    found = result(drawn(space_of(product(32, 32, 512, "float32")), seed=5), [left, right], tmp_path)
    with np.errstate(all="ignore"):
        exact = left.astype(np.float64) @ right.astype(np.float64)
        scale = np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64)
    usual = np.isfinite(exact) & (np.abs(exact) < 1e30)
    assert (np.abs(found - exact) / scale)[usual].max() < 1e-6
    assert not np.isfinite(found[~np.isfinite(exact)]).any()


@pytest.mark.parametrize("form", FORMATS, ids=lambda one: one.dtype)
@pytest.mark.parametrize("shared", [49152, 101376, 166912, 232448])
@pytest.mark.parametrize("sizes", [(4096, 4096, 4096), (197, 768, 192), (16, 4096, 4096), (50, 99, 75)])
def test_every_answer_fits_the_device(sizes: tuple[int, int, int], shared: int, form: MmaFormat) -> None:
    tiles = block_tiles(*sizes, form, Capacity(shared))
    assert tiles
    for tile in tiles:
        shape = height, _ = 16 * tile.rows.units, 16 * tile.columns.units
        assert max(shared_bytes(shape, count, form) for count in tile.stages) <= shared
        for warps, fragments in tile.rows.splits:
            for others, across in tile.columns.splits:
                threads = 32 * warps * others
                assert warps * fragments * 16 == height
                assert threads <= 1024
                assert threads * fragment_registers(fragments, across, form) < 65536
