"""Ranges of sizes, the axes they make of a model's inputs, and the plan for sizes that are not built."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from autotune.models.dynamic_axes import read_dynamic_inputs
from autotune.models.dynamic_inputs import DynamicAxis, DynamicInputs
from autotune.models.shape_plan import OutputDim, Padding, ShapePlan
from autotune.models.size_range import SizeRange, parse_size
from search_spaces import Misuse

BATCH, LENGTH = SizeRange(1, 8), SizeRange(16, 64, 16)


def encoder(path: Path) -> Path:
    """Two inputs of the same batch and length, and a third with a dimension that has no name."""
    shapes = {"ids": ["batch", "length"], "mask": ["batch", "length"], "bias": [None, 4]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Mul", ["ids", "mask"], ["y"]),
        helper.make_node("Relu", ["bias"], ["z"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yz"]
    graph = helper.make_graph(nodes, "encoder", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> DynamicInputs:
    return read_dynamic_inputs(
        encoder(tmp_path / "m.onnx"), {"ids": (BATCH, LENGTH), "bias": (SizeRange(2, 6, 2), 4)}, {}
    )[0]


def test_a_size_is_a_number_or_a_range() -> None:
    assert parse_size("8") == 8
    assert parse_size("1..8") == SizeRange(1, 8)
    assert parse_size("160..320:32") == SizeRange(160, 320, 32)
    assert parse_size("3..3") == 3
    assert list(SizeRange(160, 320, 32).sizes) == [160, 192, 224, 256, 288, 320]
    assert str(SizeRange(160, 320, 32)) == "160..320:32"
    assert 192 in SizeRange(160, 320, 32)
    assert 200 not in SizeRange(160, 320, 32)


@pytest.mark.parametrize("text", ["8..1", "0..4", "1..8:3", "1..8:0"])
def test_a_range_ends_whole_steps_from_its_start(text: str) -> None:
    with pytest.raises(Misuse, match="whole steps from its start"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "1..", "..8", "1-8", "1..8:", "-1", "1.5"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(Misuse, match="a number up to 999999999 or a range"):
        parse_size(text)


def test_dimensions_of_one_name_are_one_axis(inputs: DynamicInputs) -> None:
    assert inputs.axes == (
        DynamicAxis("batch", BATCH, ((0, 0), (1, 0))),
        DynamicAxis("length", LENGTH, ((0, 1), (1, 1))),
        DynamicAxis("bias[0]", SizeRange(2, 6, 2), ((2, 0),)),
    )
    assert inputs.shapes_at((3, 32, 4)) == {"ids": (3, 32), "mask": (3, 32), "bias": (4, 4)}
    assert (inputs.low, inputs.high) == ((1, 16, 2), (8, 64, 6))
    assert str(inputs) == "ids:1..8,16..64:16 float32; mask:1..8,16..64:16 float32; bias:2..6:2,4 float32"


def test_an_axis_by_name_is_the_same_as_by_shape(tmp_path: Path, inputs: DynamicInputs) -> None:
    by_name, notices = read_dynamic_inputs(
        tmp_path / "m.onnx", {"bias": (SizeRange(2, 6, 2), 4)}, {"batch": BATCH, "length": LENGTH}
    )
    assert by_name == inputs
    assert notices == ()


def test_a_dimension_has_one_range_and_is_free(tmp_path: Path) -> None:
    path = encoder(tmp_path / "m.onnx")
    with pytest.raises(Misuse, match=r"one range for dimension 'batch'; found 1\.\.8 and 1\.\.4:3"):
        read_dynamic_inputs(path, {"ids": (SizeRange(1, 4, 3), LENGTH), "bias": (2, 4)}, {"batch": BATCH})
    with pytest.raises(Misuse, match="expected 4 for dimension 4 of input 'bias'"):
        read_dynamic_inputs(path, {"bias": (2, SizeRange(1, 8))}, {"batch": BATCH, "length": 16})


def plan(inputs: DynamicInputs) -> ShapePlan:
    paddings = (Padding(), Padding((1,)), None)
    variants = ((4, 32, 6), (8, 32, 6), (4, 64, 6), (8, 64, 6))
    return ShapePlan(inputs, paddings, (OutputDim(0, 0, 0, 1, 1, 0),), variants, True)


def test_a_size_goes_to_its_own_variant_or_to_the_first_that_padding_reaches(inputs: DynamicInputs) -> None:
    found = plan(inputs)
    assert found.variant_for((8, 32, 6)) == (8, 32, 6)
    assert found.variant_for((3, 16, 6)) == (4, 32, 6)
    assert found.variant_for((3, 48, 6)) == (4, 64, 6)
    assert found.variant_for((5, 16, 6)) == (8, 32, 6)


def test_an_axis_that_may_not_be_padded_needs_its_own_size(inputs: DynamicInputs) -> None:
    found = plan(inputs)
    assert found.variant_for((4, 32, 4)) is None
    assert found.variant_for((3, 32, 6), unpadded=[1]) == (4, 32, 6)
    assert found.variant_for((4, 16, 6), unpadded=[1]) is None


def test_outputs_grow_in_proportion() -> None:
    assert OutputDim(0, 1, 1, 1, 2, 1).at((9, 64)) == 33
    assert OutputDim(0, 1, 0, 4, 1, 0).at((9, 64)) == 36


def test_a_plan_survives_its_document(inputs: DynamicInputs) -> None:
    assert ShapePlan.from_json(plan(inputs).to_json()) == plan(inputs)
