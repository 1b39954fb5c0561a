"""Element types and shapes of the tensors of an ONNX graph, by shape inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

# Initializers up to this size keep their values during inference: shapes, axes, pads, scales.
_MAX_VALUE_BYTES = 8192
# Elements of a vector that the propagation of values keeps symbols for, some dozens of bytes each.
_MAX_SYMBOLS = 1 << 22


@dataclass(frozen=True, slots=True)
class TensorType:
    """An element type of ONNX, and a shape; None for a dimension that is not known, or for an unknown rank."""

    elem_type: int
    shape: tuple[int | None, ...] | None

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape where every dimension is known."""
        if self.shape is None:
            return None
        sizes = tuple(size for size in self.shape if size is not None)
        return sizes if len(sizes) == len(self.shape) else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type in NumPy's words."""
        dtype: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(self.elem_type)
        return dtype

    @property
    def num_bytes(self) -> int | None:
        """The size in memory, None where the shape is not known."""
        shape = self.static_shape
        if shape is None or self.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
            return None
        return math.prod(shape) * self.dtype.itemsize


def is_float_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether it is a float of two to eight bytes; NumPy does not count bfloat16 as one."""
    return dtype.name in ("float16", "bfloat16", "float32", "float64")


def type_of(tensor: onnx.TensorProto) -> TensorType:
    """The type of an initializer."""
    return TensorType(tensor.data_type, tuple(tensor.dims))


def static_shape_of(types: Mapping[str, TensorType], name: str) -> tuple[int, ...] | None:
    """The shape of a tensor by its name; None where it has free dimensions, or nothing is known of it."""
    known = types.get(name)
    return known.static_shape if known else None


def inferred_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """The type of every tensor of the main graph that ONNX's shape inference finds, inputs and weights included.

    Large weights are taken out first, so that a model of any size is inferred fast. Raises no error: what cannot be
    inferred is missing.
    """
    types = {tensor.name: type_of(tensor) for tensor in model.graph.initializer}
    for name, value in inferred_values(model).items():
        if name not in types and value.HasField("tensor_type") and value.tensor_type.elem_type:
            types[name] = _tensor_type(value.tensor_type)
    return types


def inferred_values(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The type of every value of the main graph, as ONNX writes it: sequences and optionals included."""
    light = without_large_weights(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(light)
        if not _has_long_vector(inferred.graph):
            inferred = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
    ):
        inferred = model
    found = {value.name: value.type for value in (*inferred.graph.output, *inferred.graph.value_info)}
    found.update((value.name, value.type) for value in inferred.graph.input)
    for tensor in model.graph.initializer:
        found[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tuple(tensor.dims))
    return found


def _has_long_vector(graph: onnx.GraphProto) -> bool:
    """Whether ONNX would keep a symbol for each of millions of elements, as it takes any vector for a shape."""
    shapes = (value.type.tensor_type.shape.dim for value in (*graph.input, *graph.value_info, *graph.output))
    return any(len(dims) == 1 and dims[0].dim_value > _MAX_SYMBOLS for dims in shapes)


def without_large_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large initializers as inputs: the same types, without the values."""
    graph = model.graph
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.input.extend(graph.input)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    listed = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if (type_of(tensor).num_bytes or 0) <= _MAX_VALUE_BYTES:
            light.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            light.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tuple(tensor.dims))
            )
    return light


def _tensor_type(tensor: onnx.TypeProto.Tensor) -> TensorType:
    if not tensor.HasField("shape"):
        return TensorType(tensor.elem_type, None)
    sizes = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return TensorType(tensor.elem_type, tuple(sizes))
