"""Products of dequantized bytes, as TVM's importers write them, are taken in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.passes.dequantized_products import with_dequantized_products
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import tvm_target
from tuning_logs.file.log import TuningLog

ARM = Target.parse("llvm -mtriple=aarch64-linux-gnu -num-cores=2")
DOTPROD = Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=2")
X86 = Target.parse("llvm -mcpu=haswell -num-cores=2")
RNG = np.random.default_rng(0)
KERNEL = RNG.integers(-127, 128, (3, 3, 5, 12)).astype(np.int8)
WHOLE = RNG.integers(-127, 128, (20, 12)).astype(np.int8)
SCALES = (RNG.random(12) + 0.5).astype(np.float32)
SCALE, ZERO = np.float32(0.1), np.int8(-4)


def dequantized(value: Any, scale: npt.ArrayLike, zero: npt.ArrayLike, axis: int = -1) -> Any:
    return relax.op.dequantize(value, relax.const(np.asarray(scale)), relax.const(np.asarray(zero)), axis)


def module(shape: tuple[int, ...], result: Callable[[Any], Any]) -> tvm.IRModule:
    """A module that computes a result of bytes."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "int8"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(builder.emit(result(x)))
        builder.emit_func_output(out)
    return relax.transform.CanonicalizeBindings()(builder.get())


def convolution(groups: int = 1) -> tvm.IRModule:
    kernel = KERNEL if groups == 1 else KERNEL[:, :, :1, :groups]
    scales = SCALES[: kernel.shape[-1]]
    return module(
        (1, 7, 6, 5),
        lambda x: relax.op.nn.conv2d(
            dequantized(x, SCALE, ZERO),
            dequantized(relax.const(kernel), scales, np.zeros(scales.size, np.int8), 3),
            padding=[1, 1, 1, 1],
            groups=groups,
            data_layout="NHWC",
            kernel_layout="HWIO",
        ),
    )


def product(
    scale: npt.NDArray[np.float32], weights_scale: npt.NDArray[np.float32], axis: int
) -> tvm.IRModule:
    return module(
        (6, 20),
        lambda x: relax.op.matmul(
            dequantized(x, scale, np.full(scale.shape, ZERO, np.int8)),
            dequantized(relax.const(WHOLE), weights_scale, np.zeros(weights_scale.shape, np.int8), axis),
        ),
    )


def check(module: tvm.IRModule, target: Target, expected: Callable[[Any], Any]) -> None:
    """Holds the outputs of extreme and of drawn bytes against float64."""
    shape = [int(size) for size in module["main"].params[0].ty.shape]
    for x in (np.full(shape, -128, np.int8), RNG.integers(-128, 128, shape).astype(np.int8)):
        y = compile(module, target, TuningLog.in_memory())(x)
        np.testing.assert_allclose(y, expected((x.astype(np.float64) - ZERO) * SCALE), rtol=1e-6, atol=1e-3)


def test_a_convolution_of_bytes_is_taken_in_whole_numbers(target: Target) -> None:
    found = convolution()

    assert "pair_conv2d" in lower(found, X86).script()
    assert "signed_quad_conv2d" in lower(found, DOTPROD).script()
    check(found, target, convolved)


def convolved(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows, KERNEL.astype(np.float64) * SCALES)


@pytest.mark.parametrize(("scales", "axis"), [(SCALES, 1), (SCALES[0], 0)], ids=["by channel", "one scale"])
def test_a_product_of_bytes_is_taken_in_whole_numbers(
    scales: npt.NDArray[np.float32], axis: int, target: Target
) -> None:
    found = product(SCALE, np.asarray(scales), axis)

    assert "pair_matmul" in lower(found, X86).script()
    check(found, target, lambda x: x @ (WHOLE.astype(np.float64) * scales))


def test_weights_may_be_transposed_before(target: Target) -> None:
    transposed = relax.op.permute_dims(relax.const(WHOLE.T.copy()), [1, 0])
    found = module(
        (6, 20),
        lambda x: relax.op.matmul(
            dequantized(x, SCALE, ZERO), dequantized(transposed, SCALES, np.zeros(12, np.int8), 1)
        ),
    )

    assert "pair_matmul" in lower(found, X86).script()
    check(found, target, lambda x: x @ (WHOLE.astype(np.float64) * SCALES))


@pytest.mark.parametrize(
    "kept",
    [
        convolution(groups=5),
        product(SCALE, np.ones(20, np.float32), 0),
        product(np.ones(20, np.float32), SCALES, 1),
    ],
    ids=["groups", "scales along the sum", "scales of the data"],
)
def test_others_stay_as_they_are(kept: tvm.IRModule) -> None:
    tvm.ir.assert_structural_equal(with_dequantized_products(kept, tvm_target(X86)), kept)


def test_targets_that_do_not_multiply_words_keep_floats() -> None:
    found = convolution()

    assert with_dequantized_products(found, tvm_target(ARM)).same_as(found)
