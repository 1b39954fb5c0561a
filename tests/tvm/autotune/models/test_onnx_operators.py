"""Builds of single operators compute what ONNX Runtime does: those that TVM's importer reads otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_comparison import compare, run, single_node
from written_network import written_network

from autotune.deployment.compilation import compile
from autotune.models.model import load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

_RANDOM = np.random.default_rng(0)
_IMAGE = _RANDOM.normal(size=(1, 4, 9, 8)).astype(np.float32)
_REGIONS = np.array([[0.4, 0.6, 5.1, 6.2], [1.0, 0.0, 7.5, 3.0]], np.float32)
_SEQUENCE = _RANDOM.normal(size=(5, 2, 4)).astype(np.float32)


def _computes_the_same(
    model: onnx.ModelProto, arrays: list[np.ndarray], folder: Path, target: Target
) -> None:
    path = folder / "model.onnx"
    onnx.save(model, path)
    found = compile(load_model(path), target, TuningLog.in_memory())(*arrays)
    compare(list(found) if isinstance(found, tuple) else [found], run(model, arrays), 1e-4)


@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("samples", [0, 2])
def test_regions(coordinates: str, samples: int, tmp_path: Path, target: Target) -> None:
    inputs = [_IMAGE, _REGIONS, np.zeros(2, np.int64)]
    model = single_node(
        "RoiAlign",
        inputs,
        opset=16,
        coordinate_transformation_mode=coordinates,
        output_height=2,
        output_width=3,
        spatial_scale=0.5,
        sampling_ratio=samples,
    )
    _computes_the_same(model, inputs, tmp_path, target)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_fractional_scales(mode: str, tmp_path: Path, target: Target) -> None:
    inputs = [_IMAGE, None, np.array([1, 1, 1.7, 0.65], np.float32)]
    model = single_node("Resize", inputs, {2: None}, opset=19, mode=mode)
    _computes_the_same(model, [_IMAGE], tmp_path, target)


@pytest.mark.parametrize("attributes", [{"output_shape": [19, 17]}, {"output_padding": [1, 1], "group": 2}])
def test_transposed_convolutions(attributes: dict[str, list[int]], tmp_path: Path, target: Target) -> None:
    weight = _RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = single_node("ConvTranspose", [_IMAGE, weight], {1: None}, strides=[2, 2], **attributes)
    _computes_the_same(model, [_IMAGE], tmp_path, target)


def test_suppression_with_its_defaults(tmp_path: Path, target: Target) -> None:
    corners = _RANDOM.uniform(0, 8, (1, 12, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + 4], 2)
    scores = _RANDOM.uniform(0, 1, (1, 2, 12)).astype(np.float32)
    inputs = [boxes, scores, np.array([3]), None, np.array([0.1], np.float32)]
    model = single_node("NonMaxSuppression", inputs, {2: None, 4: None})
    _computes_the_same(model, [boxes, scores], tmp_path, target)


@pytest.mark.parametrize(("operator", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_networks(operator: str, gates: int, tmp_path: Path, target: Target) -> None:
    weights = [_RANDOM.normal(size=(2, gates * 6, size)).astype(np.float32) for size in (4, 6)]
    inputs = [_SEQUENCE, *weights]
    model = single_node(operator, inputs, {1: None, 2: None}, 2, 14, direction="bidirectional", hidden_size=6)
    _computes_the_same(model, [_SEQUENCE], tmp_path, target)


def test_batch_statistics(tmp_path: Path, target: Target) -> None:
    inputs = [_IMAGE, *(_RANDOM.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4))]
    model = single_node("BatchNormalization", inputs, dict.fromkeys((1, 2, 3, 4)), 3, 15, training_mode=1)
    _computes_the_same(model, [_IMAGE], tmp_path, target)


def test_quantized_convolutions(tmp_path: Path, target: Target) -> None:
    x = _RANDOM.integers(0, 256, (1, 3, 7, 8)).astype(np.uint8)
    # Seven bits: without VNNI the sums of ONNX Runtime's fastest kernels saturate otherwise.
    weight = _RANDOM.integers(-64, 64, (4, 3, 3, 3)).astype(np.int8)
    form = [np.array(0.03, np.float32), np.array(7, np.uint8)]
    inputs = [
        x,
        *form,
        weight,
        np.array(0.02, np.float32),
        np.array(0, np.int8),
        np.array(0.8, np.float32),
        form[1],
    ]
    model = single_node("QLinearConv", inputs, dict.fromkeys(range(1, 8)), opset=10, pads=[1, 1, 1, 1])
    _computes_the_same(model, [x], tmp_path, target)


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin", "ArgMax", "ArgMin"])
def test_extremes_of_infinities(operator: str, tmp_path: Path, target: Target) -> None:
    lowest = np.float32(-np.inf if operator.endswith("Max") else np.inf)
    x = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    form = {"axis": 1} if operator.startswith("Arg") else {"axes": [1]}
    model = single_node(operator, [x], opset=17, **form)
    model.graph.node[0].input[0] = "masked"
    nodes = [
        onnx.helper.make_node("Cast", ["x0"], ["is_kept"], to=onnx.TensorProto.BOOL),
        onnx.helper.make_node("Where", ["is_kept", "x0", "lowest"], ["masked"]),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(lowest, "lowest"))
    _computes_the_same(model, [x], tmp_path, target)


@pytest.mark.parametrize("rows", [1, 50, 128])
@pytest.mark.parametrize("columns", [40, 768])
def test_products_of_integers_as_floats(rows: int, columns: int, tmp_path: Path, target: Target) -> None:
    weight = _RANDOM.integers(-128, 128, (96, columns)).astype(np.int8)
    x = _RANDOM.integers(0, 256, (rows, 96)).astype(np.uint8)
    model = single_node("MatMulInteger", [x, weight], {1: None})
    model.graph.node.append(onnx.helper.make_node("Cast", ["y0"], ["z"], to=onnx.TensorProto.FLOAT))
    model.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, (rows, columns))
    )
    _computes_the_same(model, [x], tmp_path, target)


@pytest.mark.parametrize("source", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(
    "to", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_floats_become_integers(
    source: type[np.floating], to: type[np.integer], tmp_path: Path, target: Target
) -> None:
    limits = np.iinfo(to)
    most = min(limits.max, 60_000 if source is np.float16 else 2**24)
    x = np.concatenate([[0, 0.5, 0.999, most, max(limits.min, -most)], _RANDOM.uniform(0, most, 100)]).astype(
        source
    )
    x = np.minimum(x, np.nextafter(source(most), source(0)))
    model = single_node("Cast", [x], to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(to)))
    _computes_the_same(model, [x], tmp_path, target)


def test_integers_from_floats_take_any_shape(tmp_path: Path, target: Target) -> None:
    x = _RANDOM.uniform(-100, 100, 24).astype(np.float32)
    nodes = "whole = Cast<to=6>(x) y = Reshape(whole, shape)"
    model = written_network("(float[24] x) => (int32[n] y)", nodes, {"shape": [1, -1, 1, 1]})
    _computes_the_same(model, [x], tmp_path, target)
