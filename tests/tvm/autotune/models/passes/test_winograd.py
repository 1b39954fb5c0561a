"""Convolutions are transformed where that is expected to be faster, with what follows them fused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from onnx import helper, numpy_helper

from autotune.models.model import load_model
from autotune.models.passes.winograd import ConvolutionShape, where_expected
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target


@dataclass(frozen=True)
class Convolution:
    """A convolution of 32 channels on a 28 × 26 image, with a bias, ReLU, and a residual where it keeps the shape."""

    made: int = 32
    kernel: int = 3
    attributes: dict[str, object] = field(default_factory=lambda: {"pads": [1, 1, 1, 1]})
    batch: int = 1
    dtype: type = np.float32

    def write(self, path: Path) -> Path:
        """Writes it as an ONNX file."""
        rng = np.random.default_rng(0)
        groups = int(str(self.attributes.get("group", 1)))
        shapes = {"w": (self.made, 32 // groups, self.kernel, self.kernel), "b": (self.made,)}
        weights = [
            numpy_helper.from_array((rng.standard_normal(shape) / 10).astype(self.dtype), name)
            for name, shape in shapes.items()
        ]
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], **self.attributes),
            helper.make_node("Add", ["c", "x"], ["a"]),
            helper.make_node("Relu", ["a" if self.made == 32 and self.attributes == PADDED else "c"], ["y"]),
        ]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        x = helper.make_tensor_value_info("x", kind, [self.batch, 32, 28, 26])
        y = helper.make_tensor_value_info("y", kind, None)
        kept = nodes if nodes[2].input[0] == "a" else [nodes[0], nodes[2]]
        graph = helper.make_graph(kept, "net", [x], [y], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path


PADDED = {"pads": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("convolution", "is_transformed"),
    [
        (Convolution(), True),
        (Convolution(batch=2), True),
        (Convolution(made=64), True),
        (Convolution(attributes={"pads": [0, 0, 0, 0]}), True),
        (Convolution(attributes={"pads": [2, 0, 0, 2]}), True),
        (Convolution(attributes={"pads": [1, 1, 1, 1], "strides": [2, 2]}), False),
        (Convolution(attributes={"pads": [2, 2, 2, 2], "dilations": [2, 2]}), False),
        (Convolution(made=256, attributes={"pads": [1, 1, 1, 1], "group": 2}), True),
        (Convolution(made=256, attributes={"pads": [1, 1, 1, 1], "group": 2}, batch=2), True),
        (Convolution(attributes={"pads": [1, 1, 1, 1], "group": 4}), False),
        (Convolution(kernel=5, attributes={"pads": [2, 2, 2, 2]}), False),
        (Convolution(made=12), False),
    ],
)
def test_only_what_may_be_transformed_is(
    convolution: Convolution, is_transformed: bool, tmp_path: Path, target: Target
) -> None:
    model = load_model(convolution.write(tmp_path / "net.onnx"))
    check_build(model, target)
    names = [task.name for task in extract_tasks(model, target)]
    assert any("winograd" in name for name in names) is is_transformed, names
    if is_transformed:
        assert any("winograd_output" in name and "relu" in name for name in names), names


def volumes(made: int, kernel: tuple[int, ...], batch: int, attributes: dict[str, object]) -> onnx.ModelProto:
    """A convolution of 32 channels on volumes of 5 × 14 × 13, with a bias and ReLU."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((rng.standard_normal(shape) / 10).astype(np.float32), name)
        for name, shape in (("w", (made, 32, *kernel)), ("b", (made,)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], **attributes),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 32, 5, 14, 13])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("kernel", "batch", "attributes", "is_transformed"),
    [
        ((3, 3, 3), 1, {"pads": [1] * 6}, True),
        ((3, 3, 3), 2, {"pads": [1] * 6}, True),
        ((1, 3, 3), 1, {"pads": [0, 1, 1, 0, 1, 1]}, True),
        ((2, 3, 3), 1, {"pads": [0, 2, 0, 1, 1, 2]}, True),
        ((5, 3, 3), 1, {"pads": [4, 1, 1, 4, 1, 1]}, True),
        ((3, 3, 3), 2, {"pads": [1] * 6, "strides": [2, 1, 1]}, True),
        ((3, 3, 3), 1, {"pads": [1] * 6, "strides": [1, 2, 2]}, False),
        ((3, 3, 3), 1, {"pads": [2] * 6, "dilations": [2, 1, 1]}, False),
        ((3, 1, 1), 1, {"pads": [1, 0, 0, 1, 0, 0]}, False),
    ],
)
def test_volumes_are_transformed_plane_by_plane(
    kernel: tuple[int, ...],
    batch: int,
    attributes: dict[str, object],
    is_transformed: bool,
    tmp_path: Path,
    target: Target,
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(volumes(64, kernel, batch, attributes), path)
    model = load_model(path)
    check_build(model, target)
    names = [task.name for task in extract_tasks(model, target)]
    assert any("winograd_output" in name and "relu" in name for name in names) is is_transformed, names


def test_the_expected_gain_decides() -> None:
    def shape(size: int, taken: int, made: int) -> ConvolutionShape:
        return ConvolutionShape((1, size, size, taken), (1, size, size, made))

    assert where_expected(shape(56, 64, 64))
    assert where_expected(shape(14, 256, 256))
    assert not where_expected(shape(7, 512, 512)), "four times the weights take longer to read"
    assert not where_expected(shape(160, 16, 16)), "the transforms take longer than they save"
