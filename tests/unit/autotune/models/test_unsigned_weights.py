"""References multiply the weights of quantized operators exactly, on processors without VNNI too."""

import numpy as np
import pytest
from onnx_comparison import run, single_node

from autotune.models.onnx_passes.unsigned_weights import with_unsigned_weights

_RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("zero", [None, -2, 127, -128])
def test_products_of_large_weights_are_those_of_integers(zero):
    data = _RANDOM.integers(200, 256, (3, 64)).astype(np.uint8)
    weight = _RANDOM.integers(100, 128, (64, 5)).astype(np.int8)
    zeros = [] if zero is None else [np.array(3, np.uint8), np.array(zero, np.int8)]
    model = single_node(
        "MatMulInteger", [data, weight, *zeros], dict.fromkeys(range(1, 2 + len(zeros))), opset=10
    )

    unsigned = with_unsigned_weights(model)

    wide = [data.astype(np.int64) - (3 if zeros else 0), weight.astype(np.int64) - (zero or 0)]
    np.testing.assert_array_equal(run(unsigned, [data])[0], wide[0] @ wide[1])


def test_weights_of_signed_data_and_computed_ones_are_left_alone():
    signed, weight = np.ones((2, 3), np.int8), np.ones((3, 4), np.int8)

    of_signed = single_node("MatMulInteger", [signed, weight], {1: 0}, opset=10)
    computed = single_node("MatMulInteger", [signed.view(np.uint8), weight], opset=10)

    for model in (of_signed, computed):
        assert with_unsigned_weights(model) == model
