"""Types and values of the results of single nodes."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnx
from onnx import helper, numpy_helper

# The operator set of rewritten graphs. Each node that is appended or kept has the form of this version.
OPSET = 22
# Constants up to these sizes are given to shape inference: integers may be the sizes of many parts, others are scales.
_MAX_SHAPE_ELEMENTS = 65_536
_MAX_SCALES = 64
# Operators whose outputs may be as long as the values of their inputs make them: only outputs of the model can be.
SIZED_BY_VALUES = ("NonMaxSuppression",)
UNKNOWN = -1


class Known(Protocol):
    """Static facts of an input: its dtype, its static shape, and its array where it is constant."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def array(self) -> np.ndarray | None:
        """The values of a constant; None otherwise."""
        ...


class UnknownShape(Exception):
    """The shape of an output that depends on the values of inputs."""


def output_types(
    node: onnx.NodeProto, given: Mapping[str, Known]
) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """The dtype and the shape of each output. Raises UnknownShape, and InferenceError for inputs that do not fit."""
    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)
        for name, tensor in given.items()
    }
    data = {
        name: numpy_helper.from_array(tensor.array, name)
        for name, tensor in given.items()
        if len(tensor.shape) <= 1
        and math.prod(tensor.shape) <= (_MAX_SHAPE_ELEMENTS if tensor.dtype == np.int64 else _MAX_SCALES)
        and tensor.array is not None
    }
    infer = functools.partial(
        onnx.shape_inference.infer_node_outputs, node=node, input_types=types, input_data=data
    )
    try:
        found = infer(onnx.defs.get_schema(node.op_type, OPSET, node.domain))
    except onnx.checker.ValidationError:
        # Later operator sets only let more dtypes in.
        found = infer(onnx.defs.get_schema(node.op_type, node.domain))
    return {name: _static(node, name, proto) for name, proto in found.items()}


def _static(node: onnx.NodeProto, name: str, proto: onnx.TypeProto) -> tuple[np.dtype, tuple[int, ...]]:
    tensor = proto.tensor_type
    if node.op_type in SIZED_BY_VALUES:
        return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), (UNKNOWN, *_known(tensor)[1:])
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        raise UnknownShape(f"the shape of {name!r}, which {node.op_type} computes, depends on values")
    if any(dim.dim_value < 0 for dim in tensor.shape.dim):
        raise onnx.shape_inference.InferenceError(f"{name!r} has a negative size: {_known(tensor)}")
    return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), tuple(_known(tensor))


def _known(tensor: onnx.TypeProto.Tensor) -> list[int]:
    return [dim.dim_value for dim in tensor.shape.dim]


def computed(node: onnx.NodeProto, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a node by ONNX's reference implementation, from the arrays of its inputs by name."""
    from onnx.reference import ReferenceEvaluator  # loads all reference operators: a quarter of a second

    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(model).run(None, arrays))
