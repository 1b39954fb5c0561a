"""Sums of products of small integers in words: exact, in one instruction where the target has it."""

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
from search_spaces.tensor_ir.word_instructions import (
    PAIR_PRODUCT,
    SIGNED_QUAD_PRODUCT,
    UNSIGNED_QUAD_PRODUCT,
    WordProduct,
    word_products,
)
from search_spaces.tensor_ir.word_products import (
    Windows,
    conv2d_of_words,
    matmul_of_words,
    packed,
    repeated,
    words,
)

HERE = tvm_target(local_device().target)
PRODUCTS = (PAIR_PRODUCT, SIGNED_QUAD_PRODUCT, UNSIGNED_QUAD_PRODUCT)
Array = npt.NDArray[Any]

each_product = pytest.mark.parametrize("product", PRODUCTS, ids=lambda one: one.operator)


def firsts(product: WordProduct, *shape: int) -> Array:
    """Integers of a product's first words, the extreme ones among them."""
    least = -(1 << (product.bits - 1)) if product.is_signed else 0
    least = max(least, -255)
    found = (
        np.random.default_rng(0).integers(least, least + min(1 << product.bits, 511), shape).astype(np.int32)
    )
    found.flat[0] = least
    return found


def seconds(product: WordProduct, *shape: int) -> Array:
    """Integers of a product's second words, the extreme ones among them."""
    most = min((1 << (product.bits - 1)) - 1, 255)
    found = np.random.default_rng(1).integers(-most, most + 1, shape).astype(np.int32)
    found.flat[0] = -most - 1
    return found


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


def matmul(rows: int, steps: int, columns: int, product: WordProduct) -> tirx.PrimFunc:
    left, right = (
        te.placeholder((rows, steps), "int32", "left"),
        te.placeholder((steps, columns), "int32", "right"),
    )
    return te.create_prim_func([left, right, matmul_of_words(left, right, product)])


@each_product
@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 101])
@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
def test_words_hold_parts_of_the_last_axis(product: WordProduct, length: int, dtype: str) -> None:
    values = np.random.default_rng(0).integers(-128, 120, (5, length))
    x = te.placeholder(values.shape, dtype, "x")

    found = run(te.create_prim_func([x, words(x, product, tirx.const(7, "int32"))]), values.astype(dtype))

    np.testing.assert_array_equal(found, packed(values + 7, product, 1))


@each_product
@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 9, 40), (7, 64, 16), (37, 33, 50), (64, 130, 96)])
def test_products_are_those_of_integers(product: WordProduct, rows: int, depth: int, columns: int) -> None:
    left, right = firsts(product, rows, depth), seconds(product, depth, columns)
    steps = -(-depth // product.parts)

    found = run(matmul(rows, steps, columns, product), packed(left, product, 1), packed(right, product, 0))

    np.testing.assert_array_equal(found, left @ right)


@each_product
@pytest.mark.parametrize(
    ("strides", "padding", "dilation"),
    [((1, 1), (0, 0, 0, 0), (1, 1)), ((2, 1), (1, 0, 2, 1), (1, 1)), ((1, 2), (2, 2, 2, 2), (2, 1))],
)
def test_convolutions_are_those_of_integers(
    product: WordProduct,
    strides: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> None:
    image, weights = firsts(product, 2, 9, 8, 5), seconds(product, 3, 2, 5, 24)
    filling = -100 if product.is_signed else 200
    count = -(-5 // product.parts)
    data, kernel = (
        te.placeholder((2, 9, 8, count), "int32", "data"),
        te.placeholder((3, 2, count, 24), "int32", "kernel"),
    )
    windows = Windows(strides, padding, dilation, repeated(tirx.const(filling, "int32"), product))
    func = te.create_prim_func([data, kernel, conv2d_of_words(data, kernel, product, windows)])

    found = run(func, packed(image, product, 3), packed(weights, product, 2))

    top, left, bottom, right = padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=filling)
    expected = np.zeros(found.shape, np.int32)
    for row, column in np.ndindex(3, 2):
        first_row, first_column = row * dilation[0], column * dilation[1]
        taken = padded[:, first_row :: strides[0], first_column :: strides[1]]
        expected += taken[:, : found.shape[1], : found.shape[2]] @ weights[row, column]
    np.testing.assert_array_equal(found, expected)


@each_product
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 12, 16, 64])
def test_vectors_of_any_length_compute_the_same(product: WordProduct, lanes: int) -> None:
    operands = np.array([0x7FFF7FFF, -0x7FFF8000, 0x12348765, -1] * 48, np.int64).astype(np.int32)
    func = matmul(1, 1, operands.size, product)
    schedule = s_tir.Schedule(func)
    block = schedule.get_sblock("matmul")
    *_, column, _ = schedule.get_loops(block)
    _, inner = schedule.split(column, [None, lanes])
    schedule.reorder(schedule.get_loops(block)[-1], inner)
    schedule.vectorize(inner)
    schedule.decompose_reduction(block, schedule.get_loops(block)[0])
    passed = [tvm.runtime.tensor(each) for each in (operands[1:2].reshape(1, 1), operands.reshape(1, -1))]
    result = tvm.runtime.tensor(np.zeros((1, operands.size), np.int32))

    built(schedule.mod["main"])["main"](*passed, result)

    kinds = (f"{'' if product.is_signed else 'u'}int{product.bits}", f"int{product.bits}")
    left, right = (
        each.view(kind).astype(np.int64) for each, kind in zip((operands[1:2], operands), kinds, strict=True)
    )
    np.testing.assert_array_equal(
        result.numpy()[0], (right.reshape(-1, product.parts) @ left).astype(np.int32)
    )


@pytest.mark.parametrize(
    ("target", "product", "instruction", "register"),
    [
        ("llvm -mcpu=x86-64 -num-cores=2", PAIR_PRODUCT, "pmaddwd", "%xmm"),
        ("llvm -mcpu=haswell -num-cores=2", PAIR_PRODUCT, "vpmaddwd", "%ymm"),
        ("llvm -mcpu=skylake-avx512 -num-cores=2", PAIR_PRODUCT, "vpmaddwd", "%zmm"),
        ("llvm -mcpu=icelake-server -num-cores=2", PAIR_PRODUCT, "vpdpwssd", "%zmm"),
        ("llvm -mcpu=icelake-server -num-cores=2", UNSIGNED_QUAD_PRODUCT, "vpdpbusd", "%zmm"),
        ("llvm -mcpu=znver4 -num-cores=2", UNSIGNED_QUAD_PRODUCT, "vpdpbusd", "%zmm"),
        ("llvm -mcpu=alderlake -num-cores=2", UNSIGNED_QUAD_PRODUCT, "vpdpbusd", "%ymm"),
        (
            "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=2",
            SIGNED_QUAD_PRODUCT,
            "sdot",
            ".4s",
        ),
    ],
)
def test_a_target_computes_them_in_one_instruction(
    target: str, product: WordProduct, instruction: str, register: str
) -> None:
    wanted = tvm_target(Target.parse(target))
    code = (
        built(default_schedule(matmul(32, 64, 64, product), wanted), wanted)
        .mod.inspect_source("s")
        .splitlines()
    )

    assert product in word_products(wanted)
    assert any(instruction in line and register in line for line in code)
    assert not any("mulld" in line or "mul\tv" in line for line in code)
    if product is not PAIR_PRODUCT:
        # Sums are added to by the same instruction.
        assert not any("paddd" in line or "add\tv" in line for line in code)


@pytest.mark.parametrize(
    ("target", "product"),
    [
        ("llvm -mcpu=x86-64 -num-cores=2", PAIR_PRODUCT),
        ("llvm -mcpu=skylake-avx512 -num-cores=2", PAIR_PRODUCT),
        ("llvm -mcpu=alderlake -num-cores=2", UNSIGNED_QUAD_PRODUCT),
        ("llvm -mcpu=sapphirerapids -num-cores=2", UNSIGNED_QUAD_PRODUCT),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=2", SIGNED_QUAD_PRODUCT),
    ],
)
def test_the_fastest_product_of_a_target_comes_first(target: str, product: WordProduct) -> None:
    assert word_products(tvm_target(Target.parse(target)))[0] is product


def test_other_targets_multiply() -> None:
    arm = tvm_target(Target.parse("llvm -mtriple=aarch64-linux-gnu -num-cores=2"))
    code = built(default_schedule(matmul(8, 8, 16, PAIR_PRODUCT), arm), arm).mod.inspect_source("s")

    assert word_products(arm) == ()
    assert "mul" in code


@each_product
def test_an_operator_of_words_is_stored_and_counted(product: WordProduct) -> None:
    module = normalize(tvm.IRModule({"main": matmul(8, 16, 24, product)}))

    tvm.ir.assert_structural_equal(load(dump(module)), module)
    assert flops(module) == 8 * 16 * 24 * 2 * product.parts
