"""Normalizations against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import check, single_node

_RANDOM = np.random.default_rng(0)
X = _RANDOM.normal(size=(2, 6, 4, 5)).astype(np.float32)


def _vector(size):
    return _RANDOM.uniform(0.5, 2, size).astype(np.float32)


@pytest.mark.parametrize("opset", [14, 15])
@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (3, 6), (2, 6, 3)])
def test_batch_normalization_in_training(opset, shape):
    x = X.reshape(-1)[: int(np.prod(shape))].reshape(shape)
    inputs = [x, *(_vector(6) for _ in range(4))]
    same = {"opset": opset, "training_mode": 1, "momentum": 0.7, "epsilon": 1e-3}
    check(single_node("BatchNormalization", inputs, dict.fromkeys(range(1, 5)), outputs=3, **same), [x])
    check(single_node("BatchNormalization", inputs, outputs=3, **same), inputs)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(opset):
    inputs = [X, *(_vector(6) for _ in range(4))]
    check(single_node("BatchNormalization", inputs, dict.fromkeys(range(1, 5)), opset=opset), [X])


@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("has_bias", [True, False])
def test_layer_normalization(axis, outputs, has_bias):
    shape = X.shape[axis:]
    inputs = [X, _vector(shape)] + ([_vector(shape)] if has_bias else [])
    check(single_node("LayerNormalization", inputs, outputs=outputs, opset=17, axis=axis), inputs)


@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_normalization(axis):
    inputs = [X, _vector(X.shape[axis:])]
    check(single_node("RMSNormalization", inputs, opset=23, axis=axis), inputs)


@pytest.mark.parametrize("outputs", [["y"], ["y", "", "", "sum"]])
def test_skip_layer_normalization(outputs):
    x, skip = X[:, :, 0], X[:, :, 1]
    inputs = [x, skip, _vector(5), _vector(5), _vector(5)]
    check(single_node("SkipLayerNormalization", inputs, outputs=outputs, domain="com.microsoft"), inputs)
    inputs = [x, skip, _vector(5)]
    check(
        single_node("SkipSimplifiedLayerNormalization", inputs, outputs=outputs, domain="com.microsoft"),
        inputs,
    )


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization(groups):
    inputs = [X, _vector(6), _vector(6)]
    check(single_node("GroupNormalization", inputs, opset=21, num_groups=groups), inputs)
    inputs = [X, _vector(groups), _vector(groups)]
    check(single_node("GroupNormalization", inputs, opset=18, num_groups=groups), inputs)


@pytest.mark.parametrize("rank", [3, 4])
def test_instance_normalization(rank):
    inputs = [X if rank == 4 else X[:, :, 0], _vector(6), _vector(6)]
    check(single_node("InstanceNormalization", inputs, opset=18, epsilon=1e-3), inputs)


@pytest.mark.parametrize("axes", [None, [1], [0, 3]])
def test_mean_variance_normalization(axes):
    attributes = {} if axes is None else {"axes": axes}
    check(single_node("MeanVarianceNormalization", [X], opset=13, **attributes), [X])


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(size):
    for beta in (0.5, 0.6, 0.75):
        check(single_node("LRN", [X], opset=13, size=size, alpha=0.3, beta=beta, bias=1.5), [X])


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("axis", [0, -1])
def test_lp_normalization(power, axis):
    x = X * (X > 0)
    check(single_node("LpNormalization", [x], opset=1, p=power, axis=axis), [x])
