"""Fourier transforms against ONNX Runtime's and NumPy's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_comparison import check, compare, run, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from autotune.models.onnx_passes.explicit_attributes import with_explicit_attributes
from autotune.models.onnx_passes.redundant_nodes import with_live_nodes
from autotune.models.onnx_passes.tensor_types import inferred_types

_RANDOM = np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("inverse", "onesided"), [(0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("length", [None, 5, 9])
def test_fourier_transform(parts, inverse, onesided, length):
    if onesided and parts == 2:
        pytest.skip("one side holds for real signals")
    x = _normal(2, 7, 3, parts)
    for axis in (1, 2):
        inputs = [x, None if length is None else np.array(length), np.array(axis)]
        fixed = {2: 0} if length is None else {1: 0, 2: 0}
        check(single_node("DFT", inputs, fixed, opset=20, inverse=inverse, onesided=onesided), [x], 1e-4)
    inputs = [x] if length is None else [x, np.array(length)]
    check(
        single_node(
            "DFT", inputs, {1: 0} if length else {}, opset=17, axis=1, inverse=inverse, onesided=onesided
        ),
        [x],
        1e-4,
    )


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("has_window", [True, False])
@pytest.mark.parametrize("parts", [(1,), ()])
def test_short_time_fourier_transform(onesided, has_window, parts):
    x = _normal(2, 30, *parts)
    window = np.hanning(8).astype(np.float32) if has_window else None
    inputs = [x, np.array(3), window, None if has_window else np.array(8)]
    while inputs[-1] is None:
        inputs.pop()
    fixed = dict.fromkeys(place for place in range(1, len(inputs)) if inputs[place] is not None)
    check(single_node("STFT", inputs, fixed, opset=17, onesided=onesided), [x], 1e-4)


@pytest.mark.parametrize("attributes", [{}, {"onesided": 0}, {"onesided": 1}])
def test_shapes_after_a_short_time_fourier_transform_are_those_of_onnx_runtime(attributes):
    x, window = _normal(1, 30), np.hanning(8).astype(np.float32)
    model = single_node("STFT", [x, np.array(3), window], dict.fromkeys((1, 2)), opset=17, **attributes)
    # What ONNX's shape inference has found for the node as it is.
    model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    explicit = with_explicit_attributes(model)
    assert (explicit is model) == bool(attributes)
    [right] = run(model, [x])
    assert inferred_types(explicit)[model.graph.output[0].name].shape == right.shape


@pytest.mark.parametrize("length", [31, 37, 48, 74, 210, 1024])
def test_transforms_of_many_values_are_as_exact_as_numpy_s(length):
    x = _normal(2, length, 2)
    model = single_node("DFT", [x, None, np.array(1)], {2: 0}, opset=20)
    spectrum = np.fft.fft(x[..., 0] + 1j * x[..., 1].astype(np.float64), axis=1)
    expected = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)
    compare(run(with_canonical_operators(model), [x]), [expected], 1e-6)


@pytest.mark.parametrize("length", [46, 47, 98])
def test_real_signals_come_back_from_half_of_their_transform(length):
    x = _normal(2, length)
    half = np.fft.rfft(x.astype(np.float64))
    given = np.stack([half.real, half.imag], axis=-1).astype(np.float32)
    inputs = [given, np.array(length), np.array(1)]
    model = single_node("DFT", inputs, {1: 0, 2: 0}, opset=20, inverse=1, onesided=1)
    compare(run(with_canonical_operators(model), [given]), [x[..., None]], 1e-5)


def test_parts_that_are_zero_or_that_nothing_reads_are_not_computed():
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["real"]),
        helper.make_node("Concat", ["real", "zeros"], ["complex"], axis=-1),
        helper.make_node("DFT", ["complex", "", "axis"], ["spectrum"]),
        helper.make_node("Gather", ["spectrum", "first"], ["y"], axis=-1),
    ]
    constants = {
        "last": np.array([-1]),
        "zeros": np.zeros((3, 20, 1), np.float32),
        "axis": np.array(1),
        "first": np.array(0),
    }
    x = _normal(3, 20)
    shaped = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", shaped[:1], shaped[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    rewritten = with_live_nodes(check(model, [x], 1e-4))
    assert [node.op_type for node in rewritten.graph.node].count("MatMul") == 1
