"""Half floats widened to float32, for engines that compute no half floats."""

from __future__ import annotations

from collections.abc import Iterator

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autotune.models.onnx_passes.rewriting import subgraphs

_NARROW = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
_DTYPE_ATTRIBUTES = ("to", "dtype")


def narrow_dtype(model: onnx.ModelProto) -> str | None:
    """The coarsest type of half floats that the model computes with, in NumPy's words; None where it has none."""
    found = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    found |= {tensor.data_type for tensor in _tensors(model.graph)}
    for node in _nodes(model.graph):
        found |= {one.i for one in node.attribute if one.name in _DTYPE_ATTRIBUTES}
    named = [_NARROW[kind] for kind in found if kind in _NARROW]
    return max(named, key=lambda name: float(ml_dtypes.finfo(np.dtype(name)).eps), default=None)  # type: ignore[no-untyped-call]


def with_wide_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float16 and bfloat16 tensors as float32; what a Cast rounds is still rounded.

    ``h = Cast(x, to=FLOAT16)`` → ``Cast(Cast(x, to=FLOAT16), to=FLOAT)``.
    """
    if narrow_dtype(model) is None:
        return model
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    _widen(wide.graph)
    return wide


def _widen(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in _NARROW:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    widened = []
    for node in graph.node:
        for inner in subgraphs(node):
            _widen(inner)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
        widened.append(node)
        narrow = [one for one in node.attribute if one.name in _DTYPE_ATTRIBUTES and one.i in _NARROW]
        if not narrow:
            continue
        if node.op_type != "Cast":
            narrow[0].i = TensorProto.FLOAT
            continue
        result, node.output[0] = node.output[0], f"{node.output[0]}/narrow"
        widened.append(helper.make_node("Cast", [node.output[0]], [result], to=TensorProto.FLOAT))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in widened]
    del graph.node[:]
    graph.node.extend(kept)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _nodes(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Weights and tensor attributes, those of branches and bodies included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
        for inner in subgraphs(node):
            yield from _tensors(inner)
