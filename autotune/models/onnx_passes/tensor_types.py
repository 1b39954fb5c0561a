"""Element types and shapes of the tensors of an ONNX graph, by shape inference."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx

# Initializers up to this size keep their values during inference: shapes, axes, pads, scales.
_MAX_VALUE_BYTES = 8192


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
    def dtype(self) -> np.dtype:  # type: ignore[type-arg]
        """The element type in NumPy's words."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.elem_type))

    @property
    def num_bytes(self) -> int | None:
        """The size in memory, None where the shape is not known."""
        shape = self.static_shape
        if shape is None or self.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
            return None
        return math.prod(shape) * self.dtype.itemsize


def inferred_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """The type of every tensor of the main graph that ONNX's shape inference finds, inputs and weights included.

    Large weights are taken out first, so that a model of any size is inferred fast. Raises no error: what cannot be
    inferred is missing.
    """
    types = {
        tensor.name: TensorType(tensor.data_type, tuple(tensor.dims)) for tensor in model.graph.initializer
    }
    try:
        inferred = onnx.shape_inference.infer_shapes(without_large_weights(model), data_prop=True)
    except (RuntimeError, ValueError, TypeError, onnx.shape_inference.InferenceError):
        inferred = model
    values = (*inferred.graph.output, *inferred.graph.value_info, *inferred.graph.input)
    types.update((name, found) for name, found in _types(values) if name not in types)
    return types


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
        if tensor.ByteSize() <= _MAX_VALUE_BYTES:
            light.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            light.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tuple(tensor.dims))
            )
    return light


def _types(values: Iterable[onnx.ValueInfoProto]) -> Iterable[tuple[str, TensorType]]:
    for value in values:
        if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type:
            tensor = value.type.tensor_type
            shape = None
            if tensor.HasField("shape"):
                shape = tuple(
                    dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
                )
            yield value.name, TensorType(tensor.elem_type, shape)
