"""Boxes are kept as ONNX Runtime keeps them, whatever their order, number and corners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_comparison import onnx_runtime_outputs
from written_network import written_network

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

RNG = np.random.default_rng(0)
NODES = "rows = NonMaxSuppression<center_point_box={form}>(boxes, scores, most, overlap, least)"


def drawn(batches: int, classes: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes around a few centres, and their scores."""
    centres = RNG.integers(0, 4, (batches, count, 2)) * 20 + RNG.random((batches, count, 2)) * 4
    sizes = 4 + RNG.random((batches, count, 2)) * 8
    boxes = np.concatenate([centres - sizes, centres + sizes], axis=2).astype(np.float32)
    return boxes, RNG.random((batches, classes, count)).astype(np.float32)


def check(boxes: np.ndarray, scores: np.ndarray, target: Target, folder: Path, **limits: float) -> int:
    """Compares the rows with ONNX Runtime's; their number."""
    shapes = [",".join(map(str, one.shape)) for one in (boxes, scores)]
    signature = f"(float[{shapes[0]}] boxes, float[{shapes[1]}] scores) => (int64[n, 3] rows)"
    constants = {
        "most": np.array([limits.get("most", 10)], np.int64),
        "overlap": np.array([limits.get("overlap", 0.4)], np.float32),
        "least": np.array([limits.get("least", 0.3)], np.float32),
    }
    nodes = NODES.format(form=int(limits.get("form", 0)))
    onnx.save(written_network(signature, nodes, constants), folder / "model.onnx")
    model = load_model(folder / "model.onnx")
    found = compile(model, target, TuningLog.in_memory())(boxes, scores)
    [expected] = onnx_runtime_outputs(model, [boxes, scores])
    np.testing.assert_array_equal(found, expected)
    assert [name for name, _ in calls(lower(model, target)) if name.startswith("non_max_suppression")]
    return len(expected)


@pytest.mark.parametrize(("batches", "classes", "count"), [(1, 1, 1), (1, 3, 40), (2, 5, 200), (1, 2, 1000)])
def test_boxes_of_several_images_and_classes(
    batches: int, classes: int, count: int, target: Target, tmp_path: Path
) -> None:
    boxes, scores = drawn(batches, classes, count)
    scores[0, 0, 0] = 0.9
    assert check(boxes, scores, target, tmp_path) > 0


def test_equal_scores_leave_the_first_box_first(target: Target, tmp_path: Path) -> None:
    boxes, scores = drawn(1, 2, 100)
    assert check(boxes, np.round(scores * 4) / 4, target, tmp_path, most=100) > 0


def test_corners_in_any_order(target: Target, tmp_path: Path) -> None:
    boxes, scores = drawn(1, 2, 100)
    boxes[:, ::2] = boxes[:, ::2][..., [2, 1, 0, 3]]
    assert check(boxes, scores, target, tmp_path) > 0


def test_boxes_by_centre_and_size(target: Target, tmp_path: Path) -> None:
    boxes, scores = drawn(1, 2, 100)
    boxes[..., 2:] = 8 + np.abs(boxes[..., 2:]) / 8
    assert check(boxes, scores, target, tmp_path, form=1) > 0


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_boxes_that_share_exactly_the_limit_are_kept(overlap: float, target: Target, tmp_path: Path) -> None:
    boxes = np.array([[[0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 2, 2], [2, 2, 3, 3], [5, 5, 5, 5]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7, 0.6, 0.5]]], np.float32)
    assert check(boxes, scores, target, tmp_path, overlap=overlap) > 0


def test_no_box_above_the_least_score(target: Target, tmp_path: Path) -> None:
    assert check(*drawn(1, 3, 50), target, tmp_path, least=2.0) == 0


def test_scores_below_zero_without_a_least_score(target: Target, tmp_path: Path) -> None:
    boxes, scores = drawn(1, 2, 60)
    assert check(boxes, scores - 0.5, target, tmp_path, least=-1.0) > 0
