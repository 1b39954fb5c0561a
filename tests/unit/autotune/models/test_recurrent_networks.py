"""Recurrent networks against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import check, single_node

_RANDOM = np.random.default_rng(0)
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_STEPS, _BATCH, _FEATURES, _HIDDEN = 5, 3, 4, 6


def _normal(*shape):
    return (_RANDOM.normal(size=shape) * 0.5).astype(np.float32)


def _check(operator, options=(), opset=14, outputs=None, **attributes):
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    width = _GATES[operator] * _HIDDEN
    inputs = [_normal(_STEPS, _BATCH, _FEATURES), _normal(directions, width, _FEATURES)]
    inputs += [_normal(directions, width, _HIDDEN)]
    inputs += [_normal(directions, 2 * width) if "bias" in options else None]
    inputs += [np.array([5, 2, 4], np.int32) if "lengths" in options else None]
    inputs += [_normal(directions, _BATCH, _HIDDEN) if "states" in options else None]
    if operator == "LSTM":
        inputs += [_normal(directions, _BATCH, _HIDDEN) if "states" in options else None]
        inputs += [_normal(directions, 3 * _HIDDEN) if "peepholes" in options else None]
    while inputs[-1] is None:
        inputs.pop()
    names = outputs or ["y", "y_h", "y_c"][: 3 if operator == "LSTM" else 2]
    fixed = dict.fromkeys(place for place in range(1, len(inputs)))
    model = single_node(operator, inputs, fixed, names, opset, hidden_size=_HIDDEN, **attributes)
    check(model, inputs[:1], 1e-5)


@pytest.mark.parametrize("operator", list(_GATES))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    "options",
    [(), ("bias",), ("bias", "lengths"), ("bias", "states"), ("bias", "lengths", "states", "peepholes")],
)
def test_directions(operator, direction, options):
    _check(operator, options, direction=direction)


@pytest.mark.parametrize("opset", [7, 14])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("options", [("bias",), ("bias", "lengths", "states")])
def test_gru_with_linear_before_reset(opset, direction, options):
    _check("GRU", options, opset, direction=direction, linear_before_reset=1)


@pytest.mark.parametrize("operator", list(_GATES))
def test_clip(operator):
    _check(operator, ("bias", "states"), clip=0.3)


def test_coupled_gates():
    _check("LSTM", ("bias",), input_forget=1)


@pytest.mark.parametrize(
    ("names", "alphas", "betas"),
    [
        (["Relu"], [], []),
        (["Affine"], [0.5], [0.1]),
        (["LeakyRelu"], [0.2], []),
        (["ScaledTanh"], [0.8], [0.7]),
        (["HardSigmoid"], [0.3], [0.4]),
        (["Elu"], [0.6], []),
        (["Softsign"], [], []),
        (["Softplus"], [], []),
        (["ThresholdedRelu"], [0.1], []),
    ],
)
def test_activations(names, alphas, betas):
    same = {"activation_alpha": alphas} if alphas else {}
    same |= {"activation_beta": betas} if betas else {}
    _check("RNN", ("bias",), activations=names, **same)


def test_activations_of_both_directions():
    names = ["HardSigmoid", "Tanh", "LeakyRelu", "Sigmoid", "Affine", "Tanh"]
    _check(
        "LSTM",
        ("bias", "states"),
        direction="bidirectional",
        activations=names,
        activation_alpha=[0.3, 0.1, 0.7],
        activation_beta=[0.4, 0.2],
    )


@pytest.mark.parametrize("outputs", [["", "y_h"], ["y"], ["", "", "y_c"]])
def test_some_outputs(outputs):
    _check("LSTM", ("bias",), outputs=outputs)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_dynamically_quantized_lstm(direction, per_channel, dtype):
    directions, width = 2 if direction == "bidirectional" else 1, 4 * _HIDDEN
    low = 0 if dtype == np.uint8 else -64
    scales = (directions, width) if per_channel else (directions,)
    # Seven bits: without VNNI the sums of ONNX Runtime's fastest kernels saturate otherwise.
    weights = [
        _RANDOM.integers(low, low + 128, (directions, size, width)).astype(dtype)
        for size in (_FEATURES, _HIDDEN)
    ]
    forms = [_RANDOM.uniform(0.002, 0.01, scales).astype(np.float32) for _ in weights]
    zeros = [np.full(scales, low + 64, dtype) for _ in weights]
    inputs = [_normal(_STEPS, _BATCH, _FEATURES), *weights, _normal(directions, 2 * width), *[None] * 4]
    inputs += [forms[0], zeros[0], forms[1], zeros[1]]
    fixed = {place: None for place in range(1, 12) if inputs[place] is not None}
    model = single_node(
        "DynamicQuantizeLSTM",
        inputs,
        fixed,
        ["y", "y_h", "y_c"],
        14,
        "com.microsoft",
        direction=direction,
        hidden_size=_HIDDEN,
    )
    # A state that is rounded the other way moves a sum by up to 0.0025, and four may meet.
    check(model, inputs[:1], 1e-2)


@pytest.mark.parametrize("operator", list(_GATES))
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_long_sequences(operator, direction):
    directions, width = 1 + (direction == "bidirectional"), _GATES[operator] * _HIDDEN
    inputs = [_normal(150, _BATCH, _FEATURES), _normal(directions, width, _FEATURES)]
    # Steps that bring states together, or else what two engines round differently grows over 150 of them.
    inputs += [_normal(directions, width, _HIDDEN) * np.float32(0.4)]
    fixed = dict.fromkeys((1, 2))
    model = single_node(operator, inputs, fixed, ["y"], hidden_size=_HIDDEN, direction=direction)
    check(model, inputs[:1], 1e-5)
