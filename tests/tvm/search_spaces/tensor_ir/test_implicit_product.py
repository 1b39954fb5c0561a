"""Convolutions as matrix products: their form, and what tensor cores make of it, run on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from mma_programs import cuda_source, drawn, result, space_of, values
from tvm import te, topi

from autotune.measurement.guarded_array import Array
from search_spaces.target import Target
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.implicit_product import product_form
from search_spaces.tensor_ir.matrix_product import MatrixProduct

#: Batch, height, width, channels read and written, size of the window, stride, padding.
Sizes = tuple[int, int, int, int, int, int, int, int]
CASES: dict[str, tuple[Sizes, str]] = {
    "window": ((1, 5, 4, 16, 16, 3, 1, 1), "float16"),
    "pointwise": ((2, 5, 5, 32, 24, 1, 1, 0), "float16"),
    "batch": ((2, 6, 5, 32, 24, 3, 1, 1), "float16"),
    "stride": ((1, 9, 11, 24, 16, 3, 2, 1), "float16"),
    "pointwise with a stride": ((2, 9, 9, 32, 48, 1, 2, 0), "float16"),
    "few channels": ((1, 17, 13, 3, 20, 7, 2, 3), "float16"),
    "channels that no vector divides": ((1, 6, 6, 19, 17, 3, 1, 1), "float16"),
    "bfloat16": ((1, 6, 6, 32, 16, 3, 1, 1), "bfloat16"),
    "float32 in two parts": ((1, 8, 8, 32, 16, 3, 1, 1), "float32"),
    "int8": ((1, 8, 8, 32, 16, 3, 1, 1), "int8"),
}
QUICK = ("window",)


def convolution(sizes: Sizes, dtype: str) -> tvm.tirx.PrimFunc:
    """Channels last, summed in 32 bits."""
    n, height, width, read, written, window, stride, padding = sizes
    x = te.placeholder((n, height, width, read), dtype, name="a")
    weights = te.placeholder((window, window, read, written), dtype, name="b")
    total = "int32" if dtype == "int8" else "float32"
    return te.create_prim_func(
        [x, weights, topi.nn.conv2d_nhwc(x, weights, stride, padding, 1, out_dtype=total)]
    )


def inputs_of(func: tvm.tirx.PrimFunc) -> list[Array]:
    specs = modules.signature(modules.normalize(func))
    return [values(each.shape, np.dtype(each.dtype)) for each in specs if not each.is_output]


def expected(sizes: Sizes, x: Array, weights: Array) -> Array:
    n, height, width, _, written, window, stride, padding = sizes
    around = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    padded = np.pad(x.astype(np.float64), around)
    rows, columns = ((size + 2 * padding - window) // stride + 1 for size in (height, width))
    found = np.zeros((n, rows, columns, written))
    for down in range(window):
        for right in range(window):
            read = padded[:, down::stride, right::stride][:, :rows, :columns]
            found += read @ weights[down, right].astype(np.float64)
    return found


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=() if one in QUICK else pytest.mark.long) for one in CASES]
)
def test_the_cuda_source_of_random_answers_computes_the_convolution(case: str, tmp_path: Path) -> None:
    sizes, dtype = CASES[case]
    func = convolution(sizes, dtype)
    x, weights = inputs_of(func)
    found = result(drawn(space_of(func), seed=len(case)), [x, weights], tmp_path)
    np.testing.assert_allclose(found, expected(sizes, x, weights), rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_what_follows_a_convolution_is_computed_where_it_is_written(tmp_path: Path) -> None:
    sizes: Sizes = (1, 7, 7, 32, 24, 3, 1, 1)
    func = with_residual(sizes)
    x, weights, shift, residual = inputs_of(func)
    candidate = drawn(space_of(func), seed=4)
    summed = expected(sizes, x, weights).astype(np.float16)
    found = result(candidate, [x, weights, shift, residual], tmp_path)
    np.testing.assert_allclose(
        found, np.maximum(summed + shift + residual, np.float16(0)), rtol=4e-3, atol=4e-2
    )
    assert cuda_source(candidate).count("__global__ void __launch_bounds__") == 2, (
        "declared and defined: one kernel"
    )


def with_residual(sizes: Sizes) -> tvm.tirx.PrimFunc:
    """As in residual networks: rounded, a bias, another tensor and ReLU behind it."""
    n, height, width, read, written, window, stride, padding = sizes
    x = te.placeholder((n, height, width, read), "float16", name="a")
    weights = te.placeholder((window, window, read, written), "float16", name="b")
    summed = topi.nn.conv2d_nhwc(x, weights, stride, padding, 1, out_dtype="float32")
    bias = te.placeholder((1, 1, 1, written), "float16", name="c")
    residual = te.placeholder(summed.shape, "float16", name="d")
    half = te.compute(summed.shape, lambda *at: summed[at].astype("float16"), name="h")
    shifted = topi.add(topi.add(half, bias), residual)
    relu = te.compute(shifted.shape, lambda *at: te.max(shifted[at], tvm.tirx.const(0, "float16")), name="r")
    return te.create_prim_func([x, weights, bias, residual, relu])


def test_a_convolution_is_a_sum_of_products_of_matrices() -> None:
    product = product_of(with_residual((2, 14, 14, 64, 32, 3, 2, 1)))
    assert (product.rows, product.columns, product.depth, product.count) == (2 * 7 * 7, 32, 64, 9)
    assert product.runs == (64, 32)
    assert product.batch == 1
    assert len(product.epilogue) == 1


def test_a_convolution_of_few_channels_is_one_product() -> None:
    product = product_of(convolution((1, 28, 28, 3, 64, 7, 2, 3), "float16"))
    assert (product.rows, product.columns, product.depth, product.count) == (14 * 14, 64, 147, 1)
    assert product.runs == (3, 64)


def product_of(func: tvm.tirx.PrimFunc) -> MatrixProduct:
    found = product_form(modules.normalize(func))
    assert found is not None
    return found[1]


def test_what_fuses_to_no_matrices_is_no_product() -> None:
    image = te.placeholder((1, 14, 14, 32), "float16", name="a")
    grouped = te.placeholder((3, 3, 8, 32), "float16", name="b")
    summed = topi.nn.group_conv2d_nhwc(image, grouped, 1, 1, 1, 4, out_dtype="float32")
    single = te.placeholder((3, 3, 32, 1), "float16", name="b")
    depthwise = topi.nn.depthwise_conv2d_nhwc(image, single, 1, 1, 1)
    step = te.reduce_axis((0, 14))
    total = te.compute((14,), lambda i: te.sum(image[0, i, step, 0], axis=step))
    for operands in ([image, grouped, summed], [image, single, depthwise], [image, total]):
        assert product_form(modules.normalize(te.create_prim_func(operands))) is None


def test_windows_are_copied_asynchronously_by_whole_vectors() -> None:
    source = cuda_source(drawn(space_of(convolution((1, 14, 14, 64, 64, 3, 1, 1), "float16")), seed=1))
    kernel = source[source.rindex("void __launch_bounds__") :]
    assert "ptx_cp_async_legacy_pred_cg_16" in kernel, "of the image, with zeros around it"
    assert "ptx_cp_async_legacy_cg_16" in kernel, "of the weights"
    assert "condval" not in kernel, "an element at a time"


def test_stored_traces_of_convolutions_give_the_same_programs() -> None:
    space = space_of(convolution((1, 14, 14, 32, 32, 3, 1, 1), "float16"))
    candidate = drawn(space, seed=2)
    assert candidate.trace is not None
    again = space.replay(candidate.config, candidate.trace)
    tvm.ir.assert_structural_equal(again.schedule.mod, candidate.schedule.mod)


def test_older_gpus_get_no_sketches_for_tensor_cores() -> None:
    func = convolution((1, 14, 14, 32, 32, 1, 1, 0), "float16")
    assert not any(sketch.is_tensorized for sketch in space_of(func, Target("nvidia/nvidia-t4")).sketches)
