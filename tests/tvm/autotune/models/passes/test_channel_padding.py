"""Convolutions with odd numbers of channels compute whole vectors of them, and the same as before."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import onnx_runtime_outputs

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge, of_peer
from autotune.models.model import load_model
from autotune.models.passes.channel_padding import padded_channels
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.vector_unit import VectorUnit
from tuning_logs.file.log import TuningLog


def network(path: Path, tail: list[onnx.NodeProto], shape: list[int]) -> Path:
    """A convolution of width 3 from 8 to 70 channels with a bias, named "c", and the tail that computes "y" of it.

    Of images of 6 × 6, or of six such planes where the shape of "y" is a volume's.
    """
    rng, axes = np.random.default_rng(0), len(shape) - 2
    kernel = numpy_helper.from_array(rng.standard_normal((70, 8, *[3] * axes)).astype(np.float32), "k")
    bias = numpy_helper.from_array(rng.standard_normal(70).astype(np.float32), "b")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "k", "b"], ["c"], pads=[1, 1] * axes), *tail],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, *[6] * axes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [kernel, bias],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("tail", "shape"),
    [
        (
            [helper.make_node("Relu", ["c"], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["y"])],
            [1, 70, 1, 1],
        ),
        (
            [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])],
            [1, 70, 6, 6],
        ),
        ([helper.make_node("MaxPool", ["c"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], [1, 70, 3, 3]),
        (
            [helper.make_node("Relu", ["c"], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["y"])],
            [1, 70, 1, 1, 1],
        ),
    ],
)
def test_whole_vectors_are_computed_and_the_outputs_are_the_same(
    tail: list[onnx.NodeProto], shape: list[int], tmp_path: Path, target: Target
) -> None:
    model = load_model(network(tmp_path / "odd.onnx", tail, shape))
    inputs = draw(model.inputs, 0)

    ours = compile(model, target, TuningLog.in_memory())(*inputs)

    theirs = onnx_runtime_outputs(model, inputs)
    verdict = judge(ours if isinstance(ours, tuple) else (ours,), of_peer(theirs))
    assert verdict.mistake is None, verdict
    [convolution] = [task for task in extract_tasks(model, target) if "conv" in task.name]
    _, weight, *_ = modules.signature(modules.load(convolution.workload.module))
    assert weight.shape == (*[3] * (len(shape) - 2), 8, 72)


def test_a_cut_before_a_mean_over_the_image_comes_after_it(tmp_path: Path, target: Target) -> None:
    tail = [helper.make_node("GlobalAveragePool", ["c"], ["y"])]
    model = load_model(network(tmp_path / "odd.onnx", tail, [1, 70, 1, 1]))
    shapes = [
        spec.shape
        for task in extract_tasks(model, target)
        for spec in modules.signature(modules.load(task.workload.module))
        if spec.is_output
    ]
    assert (1, 6, 6, 70) not in shapes


AVX2 = VectorUnit(lanes=8, registers=16, scalar_registers=2, spreads_operands=False, cores=2)
AVX512 = VectorUnit(lanes=16, registers=32, scalar_registers=2, spreads_operands=True, cores=2)


@pytest.mark.parametrize(
    ("channels", "padded"), [(1000, 1024), (120, 128), (24, 32), (68, 80), (64, 64), (80, 80), (112, 112)]
)
def test_channels_are_added_where_they_are_few(channels: int, padded: int) -> None:
    assert padded_channels(channels, AVX512) == padded


@pytest.mark.parametrize(
    ("channels", "padded"),
    [
        (1000, 1008),
        (40, 48),
        (184, 192),
        (24, 24),
        (8, 8),
        (72, 72),
        (64, 64),
        (18, 24),
        (100, 112),
        (50, 64),
    ],
)
def test_of_16_registers_vectors_are_added_until_small_tiles_divide_them(channels: int, padded: int) -> None:
    assert padded_channels(channels, AVX2) == padded


def product(path: Path, rows: int, columns: int) -> Path:
    """A product with constant weights, and a bias."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((64, columns)).astype(np.float32), "w")
    bias = numpy_helper.from_array(rng.standard_normal(columns).astype(np.float32), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, rows, columns])],
        [weight, bias],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("rows", "columns", "computed"), [(40, 625, 640), (40, 640, 640), (1, 625, 625)])
def test_products_of_enough_rows_compute_whole_vectors_of_columns(
    rows: int, columns: int, computed: int, tmp_path: Path
) -> None:
    avx512 = Target.parse("llvm -mcpu=skylake-avx512 -num-cores=2")
    [task] = extract_tasks(load_model(product(tmp_path / "odd.onnx", rows, columns)), avx512)
    _, weight, *_ = modules.signature(modules.load(task.workload.module))
    assert weight.shape == (64, computed)


def test_a_product_with_columns_added_is_the_same(tmp_path: Path, target: Target) -> None:
    model = load_model(product(tmp_path / "odd.onnx", 40, 625))
    inputs = draw(model.inputs, 0)
    ours = compile(model, target, TuningLog.in_memory())(*inputs)
    theirs = onnx_runtime_outputs(model, inputs)
    verdict = judge(ours if isinstance(ours, tuple) else (ours,), of_peer(theirs))
    assert verdict.mistake is None, verdict
