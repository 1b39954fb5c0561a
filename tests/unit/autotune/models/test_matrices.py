"""Folding, determinants and caches against ONNX Runtime or ONNX's reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_comparison import check, compare, run, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from search_spaces.errors import Misuse

_RANDOM = np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape).astype(np.float32)


def _as_the_reference(model: onnx.ModelProto, arrays: list[np.ndarray]) -> None:
    names = [value.name for value in model.graph.input]
    right: Any = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    compare(run(with_canonical_operators(model), arrays), right, 1e-4)


@pytest.mark.parametrize(
    "attributes", [{}, {"strides": [2, 1]}, {"pads": [1, 0, 1, 1]}, {"dilations": [2, 1], "strides": [1, 2]}]
)
def test_folding(attributes):
    image, block = np.array([7, 6]), np.array([2, 3])
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0] * 4)
    count = 1
    for axis in (0, 1):
        free = image[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (block[axis] - 1) - 1
        count *= free // strides[axis] + 1
    x = _normal(2, 3 * 6, int(count))
    check(single_node("Col2Im", [x, image, block], {1: 0, 2: 0}, opset=18, **attributes), [x])


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_determinants(rows):
    x = _normal(3, rows, rows)
    check(single_node("Det", [x], opset=11), [x])


def test_large_determinants_are_refused():
    with pytest.raises(Misuse, match=r"Det 'node' .*is of matrices of 5 rows"):
        with_canonical_operators(single_node("Det", [_normal(5, 5)], opset=11))


def test_fused_products():
    a, b = _normal(2, 4, 3), _normal(2, 5, 4)
    model = single_node("FusedMatMul", [a, b], domain="com.microsoft", transA=1, transB=1, alpha=0.3)
    check(model, [a, b])


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_caches(mode):
    cache, update = _normal(2, 3, 6, 4), _normal(2, 3, 2, 4)
    starts = np.array([1, 5 if mode == "circular" else 3])
    _as_the_reference(
        single_node("TensorScatter", [cache, update, starts], opset=24, mode=mode), [cache, update, starts]
    )


@pytest.mark.parametrize("has_mask", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolutions(has_mask, groups):
    x, weight = _normal(1, 4, 6, 5), _normal(6, 4 // groups, 3, 2)
    rows, columns = 3, 4
    offset = _normal(1, groups * 12, rows, columns)
    mask = np.abs(_normal(1, groups * 6, rows, columns))
    inputs = [x, weight, offset, _normal(6)] + ([mask] if has_mask else [])
    attributes = {"strides": [2, 1], "pads": [1, 0, 1, 0], "group": groups, "offset_group": groups}
    _as_the_reference(single_node("DeformConv", inputs, opset=19, **attributes), inputs)
