"""Quantized operators against ONNX Runtime, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import check, single_node

_RANDOM = np.random.default_rng(0)
_MICROSOFT = "com.microsoft"


def _bytes(dtype, *shape):
    bounds = np.iinfo(dtype)
    return _RANDOM.integers(bounds.min, bounds.max + 1, shape).astype(dtype)


def _scale(*shape):
    return _RANDOM.uniform(0.01, 0.1, shape).astype(np.float32)


def _exact(model, arrays, within=0):
    check(model, arrays, within if within else 1e-07)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
@pytest.mark.parametrize("form", ["tensor", "axis", "blocks"])
def test_quantize_and_dequantize(dtype, form):
    x = (_RANDOM.normal(size=(3, 4, 6)) * 8).astype(np.float32)
    shape = {"tensor": (), "axis": (4,), "blocks": (3, 2, 6)}[form]
    attributes = {"tensor": {}, "axis": {"axis": 1}, "blocks": {"axis": 1, "block_size": 2}}[form]
    scale, zero = _scale(*shape), _bytes(dtype, *shape)
    if form == "tensor":
        scale, zero = np.array(0.07, np.float32), np.array(3, dtype)
    _exact(single_node("QuantizeLinear", [x, scale, zero], opset=21, **attributes), [x, scale, zero])
    y = _bytes(dtype, 3, 4, 6)
    _exact(single_node("DequantizeLinear", [y, scale, zero], opset=21, **attributes), [y, scale, zero])


def test_ties_are_rounded_to_even():
    x = np.arange(-8, 9).astype(np.float32) / 2
    scale, zero = np.array(1, np.float32), np.array(1, np.int8)
    _exact(single_node("QuantizeLinear", [x, scale, zero], {1: 0, 2: 0}, opset=13), [x])


def test_dynamic_quantization():
    x = _RANDOM.normal(size=(3, 4)).astype(np.float32)
    for values in (x, np.abs(x), -np.abs(x)):
        _exact(single_node("DynamicQuantizeLinear", [values], outputs=3, opset=11), [values])


@pytest.mark.parametrize("left", [np.uint8, np.int8])
@pytest.mark.parametrize("depth", [7, 700])
def test_products_of_integers(left, depth):
    a, b = _bytes(left, 3, depth), _bytes(np.int8, depth, 5)
    zeros = [np.array(3, left), np.array(-2, np.int8)]
    # Without VNNI ONNX Runtime multiplies weights exactly that are computed at run time if they have seven bits.
    small = b // 2
    _exact(single_node("MatMulInteger", [a, small], opset=10), [a, small])
    _exact(single_node("MatMulInteger", [a, b, *zeros], dict.fromkeys((1, 2, 3)), opset=10), [a])
    y = [np.array(0.9, np.float32), np.array(100, left)]
    inputs = [a, np.array(0.02, np.float32), zeros[0], b, np.array(0.03, np.float32), zeros[1], *y]
    _exact(single_node("QLinearMatMul", inputs, dict.fromkeys((1, 2, 3, 4, 5, 6, 7)), opset=10), [a])


@pytest.mark.parametrize(
    "attributes", [{}, {"strides": [2, 1], "pads": [1, 0, 1, 2]}, {"auto_pad": "SAME_UPPER"}]
)
def test_convolutions_of_integers(attributes):
    x, weight = _bytes(np.uint8, 1, 3, 7, 8), _bytes(np.int8, 4, 3, 3, 2)
    zero = np.array(7, np.uint8)
    _exact(
        single_node(
            "ConvInteger", [x, _bytes(np.uint8, 4, 3, 3, 2), zero], {1: 0, 2: 0}, **attributes, opset=10
        ),
        [x],
    )
    for scale in (_scale(4), np.array(0.02, np.float32)):
        inputs = [x, np.array(0.03, np.float32), zero, weight, scale, np.zeros(scale.shape, np.int8)]
        inputs += [
            np.array(0.8, np.float32),
            np.array(120, np.uint8),
            _RANDOM.integers(-900, 900, 4).astype(np.int32),
        ]
        _exact(single_node("QLinearConv", inputs, dict.fromkeys(range(1, 9)), opset=10, **attributes), [x])


@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_binary_operators_of_onnx_runtime(operator, dtype):
    a, b = _bytes(dtype, 3, 40), _bytes(dtype, 3, 40)
    form = [np.array(0.03, np.float32), np.array(5, dtype)]
    inputs = [
        a,
        *form,
        b,
        np.array(0.05, np.float32),
        np.array(-0, dtype),
        np.array(0.2, np.float32),
        form[1],
    ]
    model = single_node(operator, inputs, dict.fromkeys((1, 2, 4, 5, 6, 7)), domain=_MICROSOFT)
    # Its tables and its vector code round otherwise by at most one step.
    _exact(model, [a, b], 0.02)


@pytest.mark.parametrize("operator", ["QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool"])
def test_unary_operators_of_onnx_runtime(operator):
    x = _bytes(np.uint8, 2, 3, 4, 5)
    inputs = [x, np.array(0.03, np.float32), np.array(120, np.uint8)]
    inputs += [np.array(0.02, np.float32), np.array(30, np.uint8)]
    # Its tables and its sums are rounded otherwise by at most one step.
    _exact(single_node(operator, inputs, dict.fromkeys(range(1, 5)), domain=_MICROSOFT), [x], 0.02)


def test_concatenation():
    a, b = _bytes(np.uint8, 2, 3), _bytes(np.uint8, 2, 4)
    scales = [np.array(each, np.float32) for each in (0.05, 0.03, 0.07)]
    zeros = [np.array(each, np.uint8) for each in (9, 100, 0)]
    inputs = [scales[0], zeros[0], a, scales[1], zeros[1], b, scales[2], zeros[2]]
    model = single_node("QLinearConcat", inputs, dict.fromkeys((0, 1, 3, 4, 6, 7)), domain=_MICROSOFT, axis=1)
    _exact(model, [a, b])


def test_matrix_products_of_onnx_runtime():
    a, b = _RANDOM.normal(size=(3, 8)).astype(np.float32), _bytes(np.int8, 8, 5)
    inputs = [a, b, np.array([0.02], np.float32)]
    model = single_node("DynamicQuantizeMatMul", inputs, {1: 0, 2: 0}, domain=_MICROSOFT)
    check(model, [a], 1e-5)
