"""Suppression of boxes and features of regions against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import check, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from search_spaces.errors import Misuse

_RANDOM = np.random.default_rng(0)
_CORNERS = _RANDOM.uniform(0, 8, (2, 12, 2)).astype(np.float32)
BOXES = np.concatenate([_CORNERS, _CORNERS + _RANDOM.uniform(1, 6, (2, 12, 2)).astype(np.float32)], 2)
SCORES = _RANDOM.normal(size=(2, 3, 12)).astype(np.float32)


@pytest.mark.parametrize("thresholds", [(None, None), (0.3, None), (None, -0.2), (0.6, 0.5)])
@pytest.mark.parametrize("center", [0, 1])
def test_suppression(thresholds, center):
    inputs = [BOXES, SCORES, np.array([4])]
    inputs += [None if each is None else np.array([each], np.float32) for each in thresholds]
    while inputs[-1] is None:
        inputs.pop()
    model = single_node(
        "NonMaxSuppression", inputs, dict.fromkeys(range(2, len(inputs))), center_point_box=center
    )
    check(model, [BOXES, SCORES])


def test_suppression_above_a_computed_score():
    floor = np.array([0.1], np.float32)
    inputs = [BOXES, SCORES, np.array([4]), np.array([0.5], np.float32), floor]
    check(single_node("NonMaxSuppression", inputs, {2: 0, 3: 0}), [BOXES, SCORES, floor])


def test_a_computed_overlap_is_refused():
    inputs = [BOXES, SCORES, np.array([4]), np.array([0.5], np.float32)]
    with pytest.raises(
        Misuse, match=r"NonMaxSuppression 'node' .*its iou_threshold \('x3'\) is computed at run time"
    ):
        with_canonical_operators(single_node("NonMaxSuppression", inputs, {2: 0}))


@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_largest_of_regions(coordinates, scale):
    x = _RANDOM.normal(size=(2, 3, 9, 8)).astype(np.float32)
    rois = BOXES[0] / scale
    inputs = [x, rois, _RANDOM.integers(0, 2, 12)]
    attributes = {"output_height": 2, "output_width": 3, "sampling_ratio": 2, "spatial_scale": scale}
    model = single_node(
        "RoiAlign", inputs, opset=16, mode="max", coordinate_transformation_mode=coordinates, **attributes
    )
    check(model, inputs)


@pytest.mark.parametrize("operator", ["NonZero", "Unique"])
def test_shapes_that_depend_on_values_are_refused(operator):
    x = np.array([1, 0, 2], np.float32)
    with pytest.raises(Misuse, match=f"{operator} 'node' .*has outputs whose shapes depend on values"):
        with_canonical_operators(single_node(operator, [x], opset=13))
