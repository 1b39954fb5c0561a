"""Resize and Upsample against ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx_comparison import check, single_node

X = np.random.default_rng(0).normal(size=(1, 2, 5, 7)).astype(np.float32)
_COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
_SCALES = ((1, 1, 2, 2), (1, 1, 1.7, 0.65), (1, 1, 0.5, 3), (1, 1, 2.5, 1), (1, 1, 0.2, 0.2))


def _resize(x=X, scales=None, sizes=None, roi=None, opset=19, **attributes):
    inputs = [x, None if roi is None else np.array(roi, np.float32)]
    inputs += [None if scales is None else np.array(scales, np.float32)]
    inputs += [] if sizes is None else [np.array(sizes, np.int64)]
    fixed = dict.fromkeys(range(1, len(inputs)))
    return check(single_node("Resize", inputs, fixed, opset=opset, **attributes), [x])


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize("scales", _SCALES)
def test_linear(coordinates, scales):
    _resize(scales=scales, mode="linear", coordinate_transformation_mode=coordinates)


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize("scales", _SCALES)
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest(coordinates, scales, rounding):
    _resize(scales=scales, coordinate_transformation_mode=coordinates, nearest_mode=rounding)


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize("scales", _SCALES)
@pytest.mark.parametrize(("coefficient", "exclude"), [(-0.75, 0), (-0.5, 1)])
def test_cubic(coordinates, scales, coefficient, exclude):
    _resize(
        scales=scales,
        mode="cubic",
        coordinate_transformation_mode=coordinates,
        cubic_coeff_a=coefficient,
        exclude_outside=exclude,
    )


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scales", _SCALES)
def test_antialias(mode, scales):
    _resize(scales=scales, mode=mode, antialias=1)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("roi", [(0, 0, 0.2, 0.3, 1, 1, 0.8, 0.9), (0, 0, -0.3, 0.4, 1, 1, 0.5, 1.4)])
def test_crop_and_resize(mode, roi):
    _resize(
        sizes=(1, 2, 4, 6),
        roi=roi,
        mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.0,
    )


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_sizes_of_axes(policy, mode):
    _resize(sizes=(9, 11), axes=[2, 3], keep_aspect_ratio_policy=policy, mode=mode)


@pytest.mark.parametrize("shape", [(1, 2, 9), (1, 2, 3, 4, 5), (6, 5)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_ranks(shape, mode):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    scales = (1, 1, 1.7, 2, 0.7)[: len(shape)] if len(shape) > 2 else (1.5, 2.3)
    _resize(x, scales, mode=mode)


@pytest.mark.parametrize(
    ("mode", "scale"), list(itertools.product(["nearest", "linear"], [0.4, 0.7, 1.5, 2, 3]))
)
def test_operator_set_10(mode, scale):
    scales = np.array([1, 1, scale, 2], np.float32)
    check(single_node("Resize", [X, scales], {1: scales}, opset=10, mode=mode), [X])


@pytest.mark.parametrize(("mode", "scale"), list(itertools.product(["nearest", "linear"], [1.5, 2, 3])))
def test_upsample(mode, scale):
    scales = np.array([1, 1, scale, 2], np.float32)
    check(single_node("Upsample", [X, scales], {1: scales}, opset=9, mode=mode), [X])
    check(single_node("Upsample", [X], opset=8, mode=mode, scales=scales.tolist()), [X])


@pytest.mark.parametrize("scale", [2, 3])
def test_repeated_pixels_stay_one_operator(scale):
    rewritten = _resize(scales=(1, 1, scale, scale))
    assert [node.op_type for node in rewritten.graph.node] == ["Resize", "Identity"]
