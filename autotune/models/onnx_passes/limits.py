"""Limits of a compiler of dense tensors with static shapes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from autotune.models.onnx_passes.constant_folding import RANDOM
from autotune.models.onnx_passes.freezing_advice import freezing_advice
from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS, name_of
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types

# TVM indexes with 32 bits in places.
_MAX_ELEMENTS = 2**31 - 1
_LOOPS = ("Loop", "Scan")
# Inputs that a compiler must know: the shape of the result, or an axis, depends on them.
_CONSTANT_INPUTS = {
    "ConstantOfShape": (0,), "CumSum": (1,), "Expand": (1,), "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2),
    "Reshape": (1,), "Resize": (2, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,),
    "TopK": (1,), "Unsqueeze": (1,), "Upsample": (1,),
}  # fmt: skip
_NOT_NUMBERS = ("STRING", "COMPLEX64", "COMPLEX128")


@dataclass(frozen=True, slots=True)
class Limit:
    """A node of a rewritten graph that cannot be compiled.

    reason: why, as a sentence about the node; remedy: what to do, as a sentence.
    """

    node: str
    reason: str
    remedy: str


def first_limit(model: onnx.ModelProto) -> Limit | None:
    """The first node of a normalized model that cannot be compiled whatever the importer knows."""
    types = inferred_types(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.output:
        known = types.get(value.name)
        element = TensorProto.DataType.Name(known.elem_type) if known else ""
        if element in _NOT_NUMBERS:
            return Limit(
                value.name,
                f"the output is of {element.lower()}",
                "Export the model with numbers in its place",
            )
    for node in model.graph.node:
        found = _operator_limit(node) or _input_limit(node, constants) or _type_limit(node, types)
        if found is not None:
            reason, remedy = found
            advice = freezing_advice(model.graph.node, _input_sizes(model), _deciding(node, constants))
            return Limit(name_of(node), reason, remedy + advice)
    return None


def _input_sizes(model: onnx.ModelProto) -> dict[str, int]:
    """The number of elements of each input."""
    return {
        value.name: math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }


def _deciding(node: onnx.NodeProto, constants: Collection[str]) -> set[str]:
    """The computed tensors that a compiler would have to know: of a condition, a number of iterations, a shape."""
    if node.op_type in ("If", *_LOOPS):
        places: tuple[int, ...] = (0,) if node.op_type == "If" else (0, 1)
    else:
        places = _constant_places(node)
    return {node.input[place] for place in places if place < len(node.input)} - {"", *constants}


def _operator_limit(node: onnx.NodeProto) -> tuple[str, str] | None:
    if node.domain not in DEFAULT_DOMAINS:
        return None
    if node.op_type in RANDOM:
        return (
            "its results are random, another one in each run",
            "Export the model in evaluation mode",
        )
    if node.op_type in _LOOPS:
        return (
            "the number of its iterations depends on data, or is not known",
            "Export the model with a fixed number of iterations and static shapes",
        )
    if node.op_type == "If":
        return (
            "its condition is computed, and its branches have different or unknown shapes, or may divide by zero",
            "Export the model with a constant condition",
        )
    if node.op_type.startswith(("Sequence", "Optional")) or node.op_type in (
        "SplitToSequence",
        "ConcatFromSequence",
    ):
        return (
            "which tensors are in its sequence depends on data",
            "Export the model with tensors in place of sequences, and with static shapes",
        )
    return None


def _constant_places(node: onnx.NodeProto) -> tuple[int, ...]:
    """The places of inputs that must be constants."""
    if node.domain not in DEFAULT_DOMAINS:
        return ()
    return _CONSTANT_INPUTS.get(node.op_type, (1,) if node.op_type.startswith("Reduce") else ())


def _input_limit(node: onnx.NodeProto, constants: Collection[str]) -> tuple[str, str] | None:
    for place in _constant_places(node):
        name = node.input[place] if place < len(node.input) else ""
        if name and name not in constants:
            meaning = onnx.defs.get_schema(node.op_type).inputs[place].name
            return (
                f"its {meaning} ({name!r}) is computed at run time",
                f"Export the model with constant {meaning}",
            )
    return None


def _type_limit(node: onnx.NodeProto, types: Mapping[str, TensorType]) -> tuple[str, str] | None:
    for name in filter(None, node.output):
        known = types.get(name)
        if known is None:
            continue
        element = TensorProto.DataType.Name(known.elem_type)
        if element in _NOT_NUMBERS:
            return f"it computes {element.lower()}", "Export the model with numbers in its place"
        shape = known.static_shape
        if shape is not None and math.prod(shape) == 0:
            return (
                f"its result {name!r} of shape {shape} has no elements",
                "Export the model for inputs that leave some",
            )
        if shape is not None and math.prod(shape) > _MAX_ELEMENTS:
            return (
                f"its result {name!r} of shape {shape} has more than {_MAX_ELEMENTS} elements",
                "Export the model for smaller inputs",
            )
    return None
