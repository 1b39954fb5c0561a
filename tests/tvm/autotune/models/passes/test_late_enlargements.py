"""Convolutions of 1 × 1 come before the enlargements that they read, and compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from onnx import TensorProto, helper, numpy_helper

from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from search_spaces.tensor_ir import modules

_SIZE = 16


def resized(name: str, output: str, **attributes: str) -> onnx.NodeProto:
    """A Resize to 16 × 16."""
    return helper.make_node("Resize", [name, "", "", f"{name}_sizes"], [output], **attributes)


def network(
    path: Path,
    images: dict[str, tuple[int, int]],
    nodes: list[onnx.NodeProto],
    kernel: int = 1,
    made: int = 24,
) -> Path:
    """A convolution, with ReLU, of "joined", which the nodes make of images; images: channels and height of each."""
    channels = sum(count for count, _ in images.values())
    rng = np.random.default_rng(0)
    arrays = {
        "weights": rng.standard_normal((made, channels, kernel, kernel)).astype(np.float32),
        "bias": rng.standard_normal(made).astype(np.float32),
        **{f"{name}_sizes": np.array([1, count, _SIZE, _SIZE]) for name, (count, _) in images.items()},
    }
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, size, size])
        for name, (count, size) in images.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("y", *(output for node in nodes for output in node.output if output.startswith("also")))
    ]
    last = [
        helper.make_node("Conv", ["joined", "weights", "bias"], ["made"], pads=[kernel // 2] * 4),
        helper.make_node("Relu", ["made"], ["y"]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([*nodes, *last], "net", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def convolved_images(path: Path, target: Target) -> list[tuple[int, ...]]:
    """The height and channels of each convolution's input, after the outputs were found to be ONNX Runtime's."""
    model = load_model(path)
    check_build(model, target)
    shapes = [
        modules.signature(modules.load(task.workload.module))[0].shape
        for task in extract_tasks(model, target)
        if "conv2d" in task.name
    ]
    return sorted((shape[1], shape[3]) for shape in shapes)


LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
CORNERS = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize("how", [LINEAR, CORNERS, NEAREST])
def test_an_enlarged_image_is_convolved_before(how: dict[str, str], tmp_path: Path, target: Target) -> None:
    path = network(tmp_path / "net.onnx", {"x": (32, 8)}, [resized("x", "joined", **how)])

    assert convolved_images(path, target) == [(8, 32)]


def test_each_part_of_a_concatenation_is_convolved_in_its_own_size(tmp_path: Path, target: Target) -> None:
    images = {"a": (16, 16), "b": (32, 8), "c": (48, 4), "d": (8, 16)}
    nodes = [
        resized("a", "same", **LINEAR),
        resized("b", "twice", **LINEAR),
        resized("c", "four_times", **NEAREST),
        helper.make_node("Concat", ["same", "four_times", "twice", "d"], ["joined"], axis=1),
    ]
    path = network(tmp_path / "net.onnx", {name: images[name] for name in ("a", "c", "b", "d")}, nodes)

    assert convolved_images(path, target) == [(4, 48), (8, 32), (16, 24)]


@pytest.mark.parametrize(
    ("size", "kernel", "made"),
    [(8, 3, 24), (32, 1, 24), (8, 1, 96)],
    ids=["of 3 x 3", "smaller", "many channels"],
)
def test_other_convolutions_stay(size: int, kernel: int, made: int, tmp_path: Path, target: Target) -> None:
    nodes = [resized("x", "joined", **LINEAR)]
    path = network(tmp_path / "net.onnx", {"x": (32, size)}, nodes, kernel, made)

    assert convolved_images(path, target) == [(16, 32)]


def test_an_enlarged_image_with_other_readers_stays(tmp_path: Path, target: Target) -> None:
    nodes = [resized("x", "joined", **LINEAR), helper.make_node("Neg", ["joined"], ["also"])]
    path = network(tmp_path / "net.onnx", {"x": (32, 8)}, nodes)

    assert convolved_images(path, target) == [(16, 32)]
