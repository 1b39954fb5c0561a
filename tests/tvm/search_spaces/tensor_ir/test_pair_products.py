"""Sums of products of 16-bit integers in pairs: exact, in one instruction where the target has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import s_tir, te, tirx

from autotune.devices.device import local_device
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.modules import dump, flops, load, normalize, tvm_target
from search_spaces.tensor_ir.pair_products import (
    conv2d_of_pairs,
    has_pair_products,
    matmul_of_pairs,
    paired,
    pairs,
)

HERE = tvm_target(local_device().target)
Array = npt.NDArray[Any]


def halves(*shape: int, most: int = 255) -> Array:
    return np.random.default_rng(0).integers(-most, most + 1, shape).astype(np.int16)


def built(func: tirx.PrimFunc, target: tvm.target.Target = HERE) -> Any:
    module = kernel_passes(tvm.IRModule({"main": func.with_attr("global_symbol", "main")}))
    with target:
        return tvm.compile(module, target, tir_pipeline=CPU_PIPELINE)


def run(func: tirx.PrimFunc, *inputs: Array) -> Array:
    """The output of a function, scheduled by default."""
    shape, dtype = [int(size) for size in func.params[-1].shape], str(func.params[-1].dtype)
    passed = [tvm.runtime.tensor(np.ascontiguousarray(each)) for each in (*inputs, np.zeros(shape, dtype))]
    built(default_schedule(func, HERE))["main"](*passed)
    found: Array = passed[-1].numpy()
    return found


def product(rows: int, steps: int, columns: int) -> tirx.PrimFunc:
    left, right = (
        te.placeholder((rows, steps), "int32", "left"),
        te.placeholder((steps, columns), "int32", "right"),
    )
    return te.create_prim_func([left, right, matmul_of_pairs(left, right)])


@pytest.mark.parametrize("length", [1, 2, 7, 64, 101])
@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
def test_words_hold_the_halves_of_the_last_axis(length: int, dtype: str) -> None:
    values = halves(5, length, most=127)
    x = te.placeholder(values.shape, dtype, "x")

    found = run(te.create_prim_func([x, pairs(x)]), values.astype(dtype))

    np.testing.assert_array_equal(found, paired(values, 1))


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 9, 40), (7, 64, 16), (37, 33, 50), (64, 130, 96)])
def test_products_are_those_of_integers(rows: int, depth: int, columns: int) -> None:
    left, right = halves(rows, depth), halves(depth, columns)

    found = run(product(rows, (depth + 1) // 2, columns), paired(left, 1), paired(right, 0))

    np.testing.assert_array_equal(found, left.astype(np.int32) @ right.astype(np.int32))


@pytest.mark.parametrize(
    ("strides", "padding", "dilation"),
    [((1, 1), (0, 0, 0, 0), (1, 1)), ((2, 1), (1, 0, 2, 1), (1, 1)), ((1, 2), (2, 2, 2, 2), (2, 1))],
)
def test_convolutions_are_those_of_integers(
    strides: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> None:
    image, weights = halves(2, 9, 8, 5), halves(3, 2, 5, 24)
    data, kernel = (
        te.placeholder((2, 9, 8, 3), "int32", "data"),
        te.placeholder((3, 2, 3, 24), "int32", "kernel"),
    )
    func = te.create_prim_func([data, kernel, conv2d_of_pairs(data, kernel, strides, padding, dilation)])

    found = run(func, paired(image, 3), paired(weights, 2))

    top, left, bottom, right = padding
    padded = np.pad(image.astype(np.int32), ((0, 0), (top, bottom), (left, right), (0, 0)))
    expected = np.zeros(found.shape, np.int32)
    for row, column in np.ndindex(3, 2):
        first_row, first_column = row * dilation[0], column * dilation[1]
        taken = padded[:, first_row :: strides[0], first_column :: strides[1]]
        expected += taken[:, : found.shape[1], : found.shape[2]] @ weights[row, column].astype(np.int32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 12, 16, 64])
def test_vectors_of_any_length_compute_the_same(lanes: int) -> None:
    words = np.array([0x7FFF7FFF, -0x7FFF8000, 0x12348765, -1] * 48, np.int64).astype(np.int32)
    func = product(1, 1, words.size)
    schedule = s_tir.Schedule(func)
    block = schedule.get_sblock("matmul")
    *_, column, _ = schedule.get_loops(block)
    _, inner = schedule.split(column, [None, lanes])
    schedule.reorder(schedule.get_loops(block)[-1], inner)
    schedule.vectorize(inner)
    schedule.decompose_reduction(block, schedule.get_loops(block)[0])
    passed = [tvm.runtime.tensor(each) for each in (words[1:2].reshape(1, 1), words.reshape(1, -1))]
    result = tvm.runtime.tensor(np.zeros((1, words.size), np.int32))

    built(schedule.mod["main"])["main"](*passed, result)

    left, right = (
        words[1:2].view(np.int16).astype(np.int64),
        words.view(np.int16).reshape(-1, 2).astype(np.int64),
    )
    np.testing.assert_array_equal(result.numpy()[0], (right @ left).astype(np.int32))


@pytest.mark.parametrize(
    ("target", "instruction", "register"),
    [
        ("llvm -mcpu=x86-64 -num-cores=2", "pmaddwd", "%xmm"),
        ("llvm -mcpu=haswell -num-cores=2", "vpmaddwd", "%ymm"),
        ("llvm -mcpu=skylake-avx512 -num-cores=2", "vpmaddwd", "%zmm"),
        ("llvm -mcpu=icelake-server -num-cores=2", "vpdpwssd", "%zmm"),
    ],
)
def test_x86_computes_them_in_one_instruction(target: str, instruction: str, register: str) -> None:
    wanted = tvm_target(Target.parse(target))
    code = built(default_schedule(product(32, 64, 64), wanted), wanted).mod.inspect_source("s")

    assert has_pair_products(wanted)
    assert any(instruction in line and register in line for line in code.splitlines())
    assert "mulld" not in code


def test_other_targets_multiply() -> None:
    arm = tvm_target(Target.parse("llvm -mtriple=aarch64-linux-gnu -num-cores=2"))
    code = built(default_schedule(product(8, 8, 16), arm), arm).mod.inspect_source("s")

    assert not has_pair_products(arm)
    assert "mul" in code


def test_an_operator_of_pairs_is_stored_and_counted() -> None:
    module = normalize(tvm.IRModule({"main": product(8, 16, 24)}))

    tvm.ir.assert_structural_equal(load(dump(module)), module)
    assert flops(module) == 8 * 16 * 24 * 4
