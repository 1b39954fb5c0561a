"""Pools against ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx_comparison import check, single_node

_RANDOM = np.random.default_rng(0)
_SHAPES = ((2, 3, 9), (1, 2, 9, 8), (1, 2, 5, 6, 7))


def _pooled(operator, x, outputs=1, opset=22, **attributes):
    rank = x.ndim - 2
    spread = {
        name: [value] * rank * (2 if name == "pads" else 1)
        if name in ("strides", "dilations", "pads")
        else value
        for name, value in attributes.items()
    }
    kernel = [3, 2, 2][:rank]
    return check(single_node(operator, [x], outputs=outputs, opset=opset, kernel_shape=kernel, **spread), [x])


def _x(shape):
    return _RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize(("stride", "pad", "dilation"), list(itertools.product([1, 2, 3], [0, 1], [1, 2])))
@pytest.mark.parametrize("ceil", [0, 1])
def test_explicit_pads(shape, stride, pad, dilation, ceil):
    x = _x(shape)
    same = {"strides": stride, "pads": pad, "dilations": dilation, "ceil_mode": ceil}
    _pooled("MaxPool", x, **same)
    _pooled("MaxPool", x, outputs=2, **same)
    _pooled("AveragePool", x, **same)
    _pooled("AveragePool", x, count_include_pad=1, **same)
    if dilation == 1 and not ceil:
        _pooled("LpPool", x, p=3, **same)


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_auto_pad(shape, mode, stride):
    x = _x(shape)
    for operator in ("MaxPool", "AveragePool", "LpPool"):
        _pooled(operator, x, auto_pad=mode, strides=stride)


@pytest.mark.parametrize("order", [0, 1])
def test_indices_of_equal_elements(order):
    x = _RANDOM.integers(0, 3, (2, 2, 6, 7)).astype(np.float32)
    _pooled("MaxPool", x, outputs=2, storage_order=order, pads=1)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("shape", _SHAPES)
def test_global_lp_pool(power, shape):
    x = _x(shape)
    check(single_node("GlobalLpPool", [x], opset=18, p=power), [x])


def test_max_unpool():
    x = _x((1, 2, 3, 3))
    indices = np.arange(18).reshape(1, 2, 3, 3).astype(np.int64) * 4
    check(single_node("MaxUnpool", [x, indices], kernel_shape=[2, 2], strides=[2, 2]), [x, indices])
    shape = np.array([1, 2, 7, 7])
    check(
        single_node("MaxUnpool", [x, indices, shape], {2: 0}, kernel_shape=[2, 2], strides=[2, 2]),
        [x, indices],
    )


@pytest.mark.parametrize("shape", _SHAPES[:2])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes", [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"ceil_mode": 1}]
)
def test_float_pools_stay_pools(shape, operator, attributes):
    model = _pooled(operator, _x(shape), strides=2, **attributes)

    assert {node.op_type for node in model.graph.node} <= {operator, "Reshape", "Identity"}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("attributes", [{}, {"pads": 1}, {"auto_pad": "SAME_LOWER", "strides": 2}])
def test_max_pools_of_bytes_stay_pools(dtype, attributes):
    x = _RANDOM.integers(-128, 100, (1, 4, 9, 8)).astype(dtype)
    model = _pooled("MaxPool", x, **attributes)

    assert [node.op_type for node in model.graph.node if node.op_type != "Identity"] == ["MaxPool"]
