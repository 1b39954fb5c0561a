"""Default schedules compute what the unscheduled functions compute, and schedule every loop nest with enough work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import s_tir, te, tirx, topi
from tvm.script import tirx as T  # noqa: N812 - the name that TVM's parser knows

from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.modules import load, tvm_target

HERE = local_device().target
AVX2 = Target.parse("llvm -mcpu=haswell -num-cores=2")
AVX512 = Target.parse("llvm -mcpu=znver4 -num-cores=2")

OPERATORS = [
    "matmul:64,96,48",
    "matmul:1,200,64",
    "matmul:77,64,85",
    "matmul:512,64,1",
    "matmul:3,5,7",
    "matmul:37,16,128",
    "batch_matmul:4,37,53,16",
    "batch_matmul:2,61,77,48",
    "conv2d_nhwc:1,37,37,8,32,3,1,1",
    "conv2d_nhwc:1,19,19,16,24,3,1,1",
    "conv2d_nhwc:1,17,19,32,1,3,1,1",
    "conv2d_nhwc:1,17,19,8,1,5,2,2",
    "group_conv2d_nhwc:1,7,7,32,160,1,1,0,1,2",
    "matmul_relu:48,64,40",
    "batch_matmul:4,32,48,16",
    "transpose_batch_matmul:1,32,4,16",
    "conv1d_nlc:1,64,16,32,3,1,1",
    "conv2d_nhwc:1,14,14,16,32,3,1,1",
    "conv2d_nhwc:1,13,13,6,10,3,2,1",
    "conv2d_nhwc:2,7,7,8,16,1",
    "conv2d_nchw:1,14,14,8,16,3,3,1,1",
    "conv2d_bias_relu_nhwc:1,14,14,16,32,3,1,1",
    "conv2d_bn_relu_nhwc:1,14,14,16,32,3,1,1",
    "conv2d_capsule_nhwijc:1,8,8,8,8,3,1,1",
    "conv2d_transpose_nhwc:1,6,6,16,8,4,2,1",
    "conv2d_winograd_nhwc:1,8,8,16,16",
    "conv3d_ndhwc:1,6,8,8,4,8,3,1,1",
    "depthwise_conv2d_nhwc:1,14,14,32,3,1,1",
    "dilated_conv2d_nhwc:1,14,14,8,16,3,1,1,2",
    "group_conv2d_nhwc:1,14,14,24,48,3,1,1,1,4",
    "group_conv2d_nhwc:1,7,7,12,20,1,1,0,1,2",
    "layer_norm:64,96",
    "layer_norm:30,77",
    "max_pool2d_nchw:1,14,14,16,1",
    "norm:4,64,64",
    "softmax:64,128",
    "softmax:1,1000",
    "softmax:77,77",
]


def of(*tensors: te.Tensor) -> tirx.PrimFunc:
    return te.create_prim_func(tensors)


def placeholder(*shape: int, dtype: str = "float32", name: str = "x") -> te.Tensor:
    return te.placeholder(shape, dtype=dtype, name=name)


def _elementwise() -> tirx.PrimFunc:
    x, y = placeholder(33, 64), placeholder(64, name="y")
    return of(x, y, topi.nn.relu(topi.add(topi.tanh(x), y)))


def _elementwise_of_rows_of_half_vectors() -> tirx.PrimFunc:
    x, y = placeholder(3, 60, 100), placeholder(3, 60, 100, name="y")
    return of(x, y, topi.nn.relu(topi.add(x, y)))


def _hyperbolic() -> tirx.PrimFunc:
    x = placeholder(33, 64)
    return of(x, topi.nn.relu(topi.cosh(x)))


def _dot_of_vectors() -> tirx.PrimFunc:
    x, y, k = placeholder(7), placeholder(7, name="y"), te.reduce_axis((0, 7), "k")
    return of(x, y, te.compute((), lambda: te.sum(x[k] * y[k], axis=k)))


def _scaled_by_a_scalar() -> tirx.PrimFunc:
    x, y, z = placeholder(48, 64), placeholder(64, 32, name="y"), placeholder(name="z")
    k = te.reduce_axis((0, 64), "k")
    return of(x, y, z, te.compute((48, 32), lambda i, j: te.sum(x[i, k] * y[k, j] * z(), axis=k)))


def _product_scaled_by_a_computed_number() -> tirx.PrimFunc:
    x, y, z = placeholder(48, 64), placeholder(64, 32, name="y"), placeholder(name="z")
    number = te.compute((), lambda: tirx.exp(z()) * tirx.const(0.5, "float32"), "number")
    product = topi.nn.matmul(x, y)
    return of(x, y, z, te.compute((48, 32), lambda i, j: product[i, j] * number()))


def _product_behind_the_number_that_scales_it() -> tirx.PrimFunc:
    x, y, z = placeholder(48, 64), placeholder(64, 32, name="y"), placeholder(name="z")
    number = te.compute((), lambda: tirx.exp(z()) * tirx.const(0.5, "float32"), "number")
    product = topi.nn.matmul(x, y)
    return of(x, y, z, te.compute((48, 32), lambda i, j: number() * product[i, j]))


def _attention() -> tirx.PrimFunc:
    x, y = placeholder(12, 37, 16), placeholder(12, 37, 16, name="y")
    return of(x, y, topi.nn.softmax(topi.nn.batch_matmul(x, y)))


def _scores_of_an_odd_number_of_tokens() -> tirx.PrimFunc:
    x, y, mask = placeholder(4, 61, 16), placeholder(4, 61, 16, name="y"), placeholder(4, 61, 61, name="mask")
    return of(x, y, mask, topi.add(topi.multiply(topi.nn.batch_matmul(x, y), 0.25), mask))


def _product_of_a_computed_operand() -> tirx.PrimFunc:
    x, y, k = placeholder(40, 24), placeholder(24, 37, name="y"), te.reduce_axis((0, 24), "k")
    total = topi.sum(y, axis=0, keepdims=True)
    scaled = topi.divide(y, total)
    return of(x, y, te.compute((40, 37), lambda i, j: te.sum(x[i, k] * scaled[k, j], axis=k)))


def _filter_of_one_channel() -> tirx.PrimFunc:
    x, w = placeholder(1, 1, 500, 1), placeholder(1, 64, 1, 1, name="w")
    return of(x, w, topi.nn.conv2d_nhwc(x, w, (1, 2), (0, 0), (1, 1)))


def _constant_weights() -> tirx.PrimFunc:
    x, w, k = placeholder(49, 64), placeholder(64, 192, name="w"), te.reduce_axis((0, 64), "k")
    product = te.compute((49, 192), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k))
    return of(x, w, topi.nn.relu(product)).with_attr("layout_free_buffers", [1])


def _constant_weights_of_a_batch() -> tirx.PrimFunc:
    x, w, k = placeholder(6, 9, 32), placeholder(6, 32, 128, name="w"), te.reduce_axis((0, 32), "k")
    product = te.compute((6, 9, 128), lambda e, i, j: te.sum(x[e, i, k] * w[e, k, j], axis=k))
    return of(x, w, product).with_attr("layout_free_buffers", [1])


def _two_outputs() -> tirx.PrimFunc:
    x = placeholder(128, 96)
    doubled = topi.add(x, x)
    return of(x, doubled, topi.sum(doubled, axis=1))


def _transpose() -> tirx.PrimFunc:
    x = placeholder(1, 3, 40, 50)
    return of(x, topi.transpose(x, (0, 2, 3, 1)))


def _rows_of_an_uneven_matrix() -> tirx.PrimFunc:
    x = placeholder(199, 83)
    return of(x, topi.nn.relu(topi.transpose(x, (1, 0))))


def _many_rows_of_an_uneven_matrix() -> tirx.PrimFunc:
    x = placeholder(199, 643)
    return of(x, topi.transpose(x, (1, 0)))


def _channels_first() -> tirx.PrimFunc:
    x, y = placeholder(2, 13, 14, 40), placeholder(2, 40, 13, 14, name="y")
    return of(x, y, topi.add(topi.transpose(x, (0, 3, 1, 2)), y))


def _transposed_operand() -> tirx.PrimFunc:
    x, y = placeholder(32, 64), placeholder(48, 64, name="y")
    return of(x, y, topi.nn.dense(x, y))


def _transposed_result() -> tirx.PrimFunc:
    x, y = placeholder(32, 64), placeholder(64, 48, name="y")
    return of(x, y, topi.transpose(topi.nn.matmul(x, y), (1, 0)))


def _dot() -> tirx.PrimFunc:
    x, y = placeholder(1, 512), placeholder(100, 512, name="y")
    return of(x, y, topi.nn.dense(x, y))


def _concatenate() -> tirx.PrimFunc:
    x, y = placeholder(1, 30, 30, 24), placeholder(1, 30, 30, 40, name="y")
    return of(x, y, topi.nn.relu(topi.concatenate([x, y], axis=3)))


def _powers_of_odd_parts() -> tirx.PrimFunc:
    parts = [placeholder(1, 30, 30, size, name=f"x{size}") for size in (24, 41, 15)]
    return of(*parts, topi.exp(topi.concatenate(parts, axis=3)))


def _silu_of_a_concatenation() -> tirx.PrimFunc:
    x, y, scale = (
        placeholder(1, 28, 28, 48),
        placeholder(1, 28, 28, 32, name="y"),
        placeholder(80, name="scale"),
    )
    z = topi.multiply(topi.concatenate([x, y], axis=3), scale)
    return of(x, y, scale, topi.multiply(z, topi.sigmoid(z)))


def _pad() -> tirx.PrimFunc:
    x = placeholder(1, 30, 30, 24)
    return of(x, topi.nn.pad(x, (0, 1, 1, 0), (0, 1, 1, 0)))


def _gather() -> tirx.PrimFunc:
    x, index = placeholder(100, 96), placeholder(40, dtype="int32", name="index")
    return of(x, index, topi.take(x, index, axis=0, mode="clip"))


def _argmax() -> tirx.PrimFunc:
    x = placeholder(200, 96)
    return of(x, topi.argmax(x, axis=1))


def _global_mean() -> tirx.PrimFunc:
    x = placeholder(1, 13, 13, 100)
    return of(x, topi.divide(topi.sum(x, axis=[1, 2]), 169.0))


def _sum_of_all() -> tirx.PrimFunc:
    x = placeholder(64, 80)
    return of(x, topi.sum(x))


def _largest_of_all() -> tirx.PrimFunc:
    x = placeholder(1, 96, 1536)
    return of(x, topi.max(x))


def _square_norm_of_a_vector() -> tirx.PrimFunc:
    x, k = placeholder(40000), te.reduce_axis((0, 40000), "k")
    return of(x, te.compute((), lambda: te.sum(x[k] * x[k], axis=k)))


def _integers() -> tirx.PrimFunc:
    x, y = placeholder(48, 64, dtype="int8"), placeholder(64, 80, dtype="int8", name="y")
    k = te.reduce_axis((0, 64), "k")
    return of(
        x,
        y,
        te.compute((48, 80), lambda i, j: te.sum(x[i, k].astype("int32") * y[k, j].astype("int32"), axis=k)),
    )


def _half() -> tirx.PrimFunc:
    x, y = placeholder(48, 64, dtype="float16"), placeholder(64, 80, dtype="float16", name="y")
    k = te.reduce_axis((0, 64), "k")
    return of(
        x,
        y,
        te.compute(
            (48, 80), lambda i, j: te.sum(x[i, k].astype("float32") * y[k, j].astype("float32"), axis=k)
        ),
    )


def _doubles() -> tirx.PrimFunc:
    x, y = placeholder(48, 64, dtype="float64"), placeholder(64, 80, dtype="float64", name="y")
    return of(x, y, topi.nn.matmul(x, y))


def _scan() -> tirx.PrimFunc:
    x = placeholder(64, 80)
    return of(x, topi.cumsum(x, axis=1))


def _scatter() -> tirx.PrimFunc:
    x, index = placeholder(64), placeholder(64, dtype="int64", name="index")
    update = placeholder(64, name="update")
    return of(x, index, update, topi.scatter_elements(x, index, update, 0, "add"))


def _sort() -> tirx.PrimFunc:
    x = placeholder(8, 80)
    return of(x, topi.sort(x, axis=1))


def _reshape() -> tirx.PrimFunc:
    x = placeholder(1, 64, 384)
    return of(x, topi.transpose(topi.reshape(x, (1, 64, 12, 32)), (0, 2, 1, 3)))


def _depthwise(size: int, channels: int, kernel: int, stride: int) -> tirx.PrimFunc:
    x, w = placeholder(1, size, size + 1, channels), placeholder(kernel, kernel, channels, 1, name="w")
    return of(x, w, topi.nn.depthwise_conv2d_nhwc(x, w, (stride, stride), (kernel // 2, kernel // 2), (1, 1)))


def _depthwise_of_a_row() -> tirx.PrimFunc:
    return _depthwise(14, 32, 3, 1)


def _depthwise_of_large_steps() -> tirx.PrimFunc:
    return _depthwise(23, 24, 5, 2)


def _max_pool() -> tirx.PrimFunc:
    x = placeholder(1, 17, 19, 24)
    return of(x, topi.nn.pool2d(x, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), "max", layout="NHWC"))


def _max_pool_behind_which_channels_are_added() -> tirx.PrimFunc:
    x, rest = placeholder(1, 8, 8, 28), placeholder(1, 4, 4, 32, name="r")
    pooled = topi.nn.pool2d(x, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0), "max", layout="NHWC")
    return of(x, rest, topi.nn.relu(topi.add(topi.nn.pad(pooled, (0, 0, 0, 0), (0, 0, 0, 4)), rest)))


def _product_behind_which_columns_are_added() -> tirx.PrimFunc:
    x, y, rest = placeholder(12, 24), placeholder(24, 32, name="y"), placeholder(12, 48, name="r")
    product = topi.nn.matmul(x, y)
    return of(x, y, rest, topi.add(topi.nn.pad(product, (0, 0), (0, 16)), rest))


def _average_pool() -> tirx.PrimFunc:
    x = placeholder(1, 18, 18, 40)
    pooled = topi.nn.pool2d(x, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), "avg", False, "NHWC", False)
    return of(x, topi.nn.relu(pooled))


def _mean_of_an_image() -> tirx.PrimFunc:
    x = placeholder(1, 14, 14, 72)
    return of(x, topi.divide(topi.sum(x, axis=(1, 2), keepdims=True), 196.0))


def _slice_of_groups() -> tirx.PrimFunc:
    """34 of the 48 channels of each group, and a residual."""
    x, y = placeholder(1, 7, 9, 192), placeholder(1, 7, 9, 136, name="y")
    kept = topi.strided_slice(topi.reshape(x, (1, 7, 9, 4, 48)), [0] * 5, [1, 7, 9, 4, 34], [1] * 5)
    return of(x, y, topi.nn.relu(topi.add(topi.reshape(kept, (1, 7, 9, 136)), y)))


def _shuffle_of_channels() -> tirx.PrimFunc:
    x = placeholder(1, 7, 9, 136)
    groups = topi.transpose(topi.reshape(x, (1, 7, 9, 4, 34)), (0, 1, 2, 4, 3))
    return of(x, topi.reshape(groups, (1, 7, 9, 136)))


FUNCTIONS: list[Callable[[], tirx.PrimFunc]] = [
    _elementwise,
    _elementwise_of_rows_of_half_vectors,
    _hyperbolic,
    _dot_of_vectors,
    _scaled_by_a_scalar,
    _product_scaled_by_a_computed_number,
    _product_behind_the_number_that_scales_it,
    _attention,
    _scores_of_an_odd_number_of_tokens,
    _product_of_a_computed_operand,
    _filter_of_one_channel,
    _constant_weights,
    _constant_weights_of_a_batch,
    _two_outputs,
    _transpose,
    _rows_of_an_uneven_matrix,
    _many_rows_of_an_uneven_matrix,
    _channels_first,
    _transposed_operand,
    _transposed_result,
    _dot,
    _concatenate,
    _powers_of_odd_parts,
    _silu_of_a_concatenation,
    _pad,
    _gather,
    _argmax,
    _global_mean,
    _sum_of_all,
    _largest_of_all,
    _square_norm_of_a_vector,
    _integers,
    _half,
    _doubles,
    _scan,
    _scatter,
    _sort,
    _reshape,
    _depthwise_of_a_row,
    _depthwise_of_large_steps,
    _max_pool,
    _max_pool_behind_which_channels_are_added,
    _product_behind_which_columns_are_added,
    _average_pool,
    _mean_of_an_image,
    _slice_of_groups,
    _shuffle_of_channels,
]


@T.prim_func(s_tir=True)
def histogram(x: T.Buffer((4096,), "int32"), counts: T.Buffer((4096,), "int32")) -> None:
    """Steps that share elements of the result: they must not run beside each other."""
    T.func_attr({"tirx.noalias": True})
    with T.sblock("root"):
        for i in range(4096):
            with T.sblock("count"):
                v = T.axis.spatial(4096, i)
                T.reads(x[v], counts[0:4096])
                T.writes(counts[0:4096])
                counts[x[v]] = counts[x[v]] + 1


def arguments(func: tirx.PrimFunc, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Random inputs, indices among them small enough for every function here."""
    rng = np.random.default_rng(seed)
    found = []
    for param in func.params:
        shape, dtype = tuple(int(size) for size in param.shape), str(param.dtype)
        drawn = rng.standard_normal(shape) if "float" in dtype else rng.integers(0, 8, shape)
        found.append(np.asarray(drawn).astype(dtype))
    return found


def _product_of_which_24_columns_are_kept() -> tirx.PrimFunc:
    x, weights, rest = placeholder(1, 56, 72), placeholder(72, 32, name="w"), placeholder(1, 56, 24, name="r")
    step = te.reduce_axis((0, 72), name="k")
    product = te.compute(
        (1, 56, 32), lambda b, i, j: te.sum(x[b, i, step] * weights[step, j], axis=step), "product"
    )
    return of(x, weights, rest, topi.add(topi.strided_slice(product, [0, 0, 0], [1, 56, 24]), rest))


def run(
    func: tirx.PrimFunc, target: Target, inputs: list[np.ndarray[Any, Any]]
) -> list[np.ndarray[Any, Any]]:
    module = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    is_scheduled = "tirx.is_scheduled" in (func.attrs or {})
    if is_scheduled:
        built = tvm.compile(kernel_passes(module), tvm_target(target), tir_pipeline=CPU_PIPELINE)
    else:
        built = tvm.compile(module, tvm_target(target))
    passed = [tvm.runtime.tensor(each) for each in inputs]
    built["main"](*passed)
    return [each.numpy() for each in passed]


def check(func: tirx.PrimFunc, target: Target = HERE) -> tirx.PrimFunc:
    """Runs the function scheduled and unscheduled on the same inputs; the scheduled one."""
    scheduled = default_schedule(func, tvm_target(target))
    inputs = arguments(func)
    for got, expected in zip(run(scheduled, target, inputs), run(func, target, inputs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    return scheduled


def operator(name: str, target: Target = HERE) -> tirx.PrimFunc:
    return load(operator_task(name, target).workload.module)["main"]


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_compute_the_same(name: str) -> None:
    scheduled = check(operator(name))
    assert scheduled.attrs["tirx.is_scheduled"]


@pytest.mark.parametrize("make", FUNCTIONS, ids=lambda make: make.__name__.strip("_"))
def test_functions_of_all_kinds_compute_the_same(make: Callable[[], tirx.PrimFunc]) -> None:
    check(make())


@pytest.mark.parametrize("make", [_depthwise_of_a_row, _max_pool, _average_pool])
def test_windows_read_their_image_where_it_lies(make: Callable[[], tirx.PrimFunc]) -> None:
    scheduled = default_schedule(make(), tvm_target(HERE))
    module = kernel_passes(tvm.IRModule({"main": scheduled.with_attr("global_symbol", "main")}))

    text = module["main"].script()
    assert "pad_temp" not in text.lower()
    assert "if_then_else" not in text
    assert "T.vectorized" in text


@pytest.mark.parametrize("target", [HERE, AVX2, AVX512], ids=str)
def test_rows_of_half_vectors_are_not_gathered(target: Target) -> None:
    scheduled = default_schedule(_elementwise_of_rows_of_half_vectors(), tvm_target(target))
    module = kernel_passes(tvm.IRModule({"main": scheduled.with_attr("global_symbol", "main")}))

    code = tvm.compile(module, tvm_target(target), tir_pipeline=CPU_PIPELINE).mod.inspect_source("s")

    assert "vaddps" in code
    assert not any(name in code for name in ("vgather", "vinsertps", "vunpcklps"))


@pytest.mark.parametrize("make", [_rows_of_an_uneven_matrix, _channels_first])
def test_transpositions_go_square_by_square(make: Callable[[], tirx.PrimFunc]) -> None:
    (*_, row, column), *_ = nests(default_schedule(make(), tvm_target(HERE)))

    assert int(column.kind) == int(tirx.ForKind.VECTORIZED)
    assert (int(row.extent), int(column.extent)) in ((16, 16), (8, 14))


@pytest.mark.parametrize("make", [_largest_of_all, _square_norm_of_a_vector])
def test_a_single_number_is_reduced_in_parallel_and_in_vectors(make: Callable[[], tirx.PrimFunc]) -> None:
    text = default_schedule(make(), tvm_target(HERE)).script()

    assert "T.parallel" in text
    assert "T.vectorized" in text


def test_shuffled_channels_are_read_as_streams() -> None:
    text = default_schedule(_shuffle_of_channels(), tvm_target(HERE)).script()

    assert "T.unroll" in text


def test_constant_weights_are_packed_in_the_order_of_the_loops() -> None:
    text = default_schedule(_constant_weights(), tvm_target(HERE)).script()

    assert "layout_rewrite_preproc" in text


@pytest.mark.parametrize(
    "make", [_product_scaled_by_a_computed_number, _product_behind_the_number_that_scales_it]
)
def test_a_computed_number_does_not_part_a_product_from_what_follows(
    make: Callable[[], tirx.PrimFunc],
) -> None:
    scheduled = check(make())

    schedule = s_tir.Schedule(scheduled)
    first, last = (
        schedule.get(schedule.get_loops(schedule.get_sblock(name))[0])
        for name in ("T_matmul_NN_update", "compute")
    )
    assert first.same_as(last)


def test_an_odd_number_of_columns_is_padded_to_whole_vectors() -> None:
    text = default_schedule(_scores_of_an_odd_number_of_tokens(), tvm_target(HERE)).script()

    assert "_pad = T.sblock_alloc_buffer" in text


@pytest.mark.parametrize(("columns", "padded"), [(421, 432), (328, 336), (257, 264), (50, 64), (33, 40)])
def test_columns_are_padded_to_tiles_of_several_vectors(columns: int, padded: int) -> None:
    func = check(operator(f"batch_matmul:2,32,{columns},16", AVX2), AVX2)

    assert f"alloc_buffer((2, 16, {padded}))" in func.script()


@pytest.mark.parametrize("name", OPERATORS[::5])
def test_they_compute_the_same_with_narrower_vectors(name: str) -> None:
    check(operator(name, AVX2), AVX2)


@pytest.mark.parametrize("name", OPERATORS)
def test_code_for_arm_can_be_made(name: str) -> None:
    target = Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=4")
    scheduled = default_schedule(operator(name, target), tvm_target(target))
    module = tvm.IRModule({"main": scheduled.with_attr("global_symbol", "main")})
    assert "fmla" in tvm.compile(module, tvm_target(target)).mod.inspect_source("s") or "matmul" not in name


def nests(func: tirx.PrimFunc) -> Iterator[list[tirx.For]]:
    """The loops around each block, from the outside in."""
    schedule = s_tir.Schedule(func)
    waiting = list(schedule.get_child_blocks(schedule.get_sblock("root")))
    for block in waiting:
        yield [schedule.get(loop) for loop in schedule.get_loops(block)]


@pytest.mark.parametrize(
    "name",
    [
        "matmul:128,128,128",
        "conv2d_nhwc:1,28,28,32,64,3,1,1",
        "conv2d_bias_relu_nhwc:1,28,28,32,64,1",
        "depthwise_conv2d_nhwc:1,28,28,64,3,1,1",
        "group_conv2d_nhwc:1,28,28,32,64,3,1,1,1,2",
        "batch_matmul:8,64,64,32",
        "layer_norm:256,256",
        "softmax:256,256",
    ],
)
def test_a_nest_with_enough_work_is_parallel_outside_and_vectors_inside(name: str) -> None:
    scheduled = default_schedule(operator(name), tvm_target(HERE))

    found = list(nests(scheduled))

    assert all(any(int(loop.kind) == tirx.ForKind.PARALLEL for loop in loops) for loops in found)
    assert any(int(loops[-1].kind) == tirx.ForKind.VECTORIZED for loops in found)


@pytest.mark.parametrize("make", [_concatenate, _powers_of_odd_parts, _silu_of_a_concatenation])
def test_concatenated_parts_are_vectors_but_where_they_meet(make: Callable[[], tirx.PrimFunc]) -> None:
    found = list(nests(default_schedule(make(), tvm_target(HERE))))

    assert all(int(loops[-1].kind) == tirx.ForKind.VECTORIZED for loops in found)
    assert CUT in found[0][-2].annotations


def test_the_results_that_are_kept_of_padded_columns_are_vectors() -> None:
    func = _product_of_which_24_columns_are_kept()
    check(func)

    scheduled = default_schedule(func, tvm_target(AVX512))
    assert all(int(loops[-1].kind) == tirx.ForKind.VECTORIZED for loops in nests(scheduled))


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=str)
@pytest.mark.parametrize("name", ["batch_matmul:3,302,64,302", "batch_matmul:3,1370,64,64"])
def test_few_matrices_keep_all_cores_equally_busy(name: str, target: Target) -> None:
    for loops in nests(default_schedule(operator(name, target), tvm_target(target))):
        [tasks] = [int(loop.extent) for loop in loops if int(loop.kind) == tirx.ForKind.PARALLEL]
        assert tasks % 2 == 0 or tasks >= 16


def test_a_small_function_runs_on_one_core() -> None:
    scheduled = default_schedule(operator("matmul:3,5,7"), tvm_target(HERE))

    assert not any(int(loop.kind) == tirx.ForKind.PARALLEL for loops in nests(scheduled) for loop in loops)


def test_steps_that_share_results_stay_in_order() -> None:
    scheduled = default_schedule(histogram, tvm_target(HERE))

    assert all(int(loop.kind) == tirx.ForKind.SERIAL for loops in nests(scheduled) for loop in loops)
    check(histogram)


def test_a_call_of_a_library_comes_back_as_it_is() -> None:
    x = placeholder(64)
    call = te.extern(
        (64,), [x], lambda ins, outs: tvm.tirx.call_packed("some.library", ins[0], outs[0]), dtype="float32"
    )
    func = of(x, call)

    scheduled = default_schedule(func, tvm_target(HERE))

    assert tvm_ffi.structural_equal(scheduled.body, func.body)
    assert scheduled.script().count("some.library") == 1


def test_a_function_of_dynamic_shape_computes_the_same_at_any_size() -> None:
    rows = te.var("rows", dtype="int64")
    x, y = te.placeholder((rows, 64), name="x"), placeholder(64, 48, name="y")
    func = of(x, y, topi.nn.relu(topi.nn.matmul(x, y)))
    scheduled = default_schedule(func, tvm_target(HERE))
    built = tvm.compile(
        tvm.IRModule({"main": scheduled.with_attr("global_symbol", "main")}), tvm_target(HERE)
    )

    for size in (1, 5, 64):
        rng = np.random.default_rng(size)
        left = rng.standard_normal((size, 64), dtype=np.float32)
        right = rng.standard_normal((64, 48), dtype=np.float32)
        out = tvm.runtime.tensor(np.zeros((size, 48), np.float32))
        built["main"](tvm.runtime.tensor(left), tvm.runtime.tensor(right), out)
        np.testing.assert_allclose(out.numpy(), np.maximum(left @ right, 0), rtol=1e-4, atol=1e-4)
    assert "T.parallel" in scheduled.script()


def test_only_the_last_squares_of_an_uneven_transposition_have_a_condition() -> None:
    text = check(_many_rows_of_an_uneven_matrix()).script()
    assert CUT in text
    assert CUT not in check(_transpose()).script()
