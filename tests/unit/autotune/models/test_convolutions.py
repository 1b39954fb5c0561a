"""Convolutions and transposed convolutions against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import check, single_node

_RANDOM = np.random.default_rng(0)


def _normal(*shape):
    return _RANDOM.normal(size=shape).astype(np.float32)


def _convolved(operator, x, weight, has_bias=True, **attributes):
    channels = weight.shape[0 if operator == "Conv" else 1] * (
        1 if operator == "Conv" else attributes.get("group", 1)
    )
    inputs = [x, weight, _normal(channels)] if has_bias else [x, weight]
    return check(single_node(operator, inputs, dict.fromkeys(range(1, len(inputs))), **attributes), [x], 1e-4)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_auto_pad(mode, stride, rank):
    x, weight = _normal(2, 3, *(7, 8, 5)[:rank]), _normal(4, 3, *(3, 2, 3)[:rank])
    _convolved("Conv", x, weight, auto_pad=mode, strides=[stride] * rank)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_transposed(stride, kernel, pad, dilation):
    if pad > (kernel - 1) * dilation:
        pytest.skip("the padding is wider than the kernel")
    x, weight = _normal(1, 4, 5, 6), _normal(4, 3, kernel, kernel)
    for padding in range(min(stride, 2)):
        _convolved(
            "ConvTranspose",
            x,
            weight,
            strides=[stride] * 2,
            pads=[pad] * 4,
            dilations=[dilation] * 2,
            output_padding=[padding] * 2,
        )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_transposed_groups_and_ranks(rank, group):
    x, weight = _normal(2, 4, *(5, 4, 3)[:rank]), _normal(4, 2, *(3, 4, 2)[:rank])
    attributes = {"strides": [2, 3, 1][:rank], "pads": [1, 0, 1][:rank] + [0, 1, 0][:rank], "group": group}
    _convolved("ConvTranspose", x, weight, **attributes)
    _convolved("ConvTranspose", x, weight, has_bias=False, **attributes)


@pytest.mark.parametrize("mode", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", [(10, 12), (9, 13), (8, 11), (11, 14)])
def test_transposed_output_shape(mode, shape):
    x, weight = _normal(1, 2, 5, 6), _normal(2, 3, 3, 4)
    _convolved("ConvTranspose", x, weight, output_shape=shape, auto_pad=mode, strides=[2, 2])


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_auto_pad(mode, stride):
    x, weight = _normal(1, 2, 5, 6), _normal(2, 3, 3, 4)
    _convolved("ConvTranspose", x, weight, auto_pad=mode, strides=[stride] * 2)


def test_transposed_by_a_computed_weight():
    x, weight = _normal(1, 2, 5, 6), _normal(2, 3, 3, 4)
    check(single_node("ConvTranspose", [x, weight], strides=[2, 2], dilations=[1, 2]), [x, weight], 1e-4)
