"""Float32 tensors widened to float64, for a run that shows how much the roundings inside of a model matter."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autotune.models.onnx_passes.rewriting import captured, names_read, subgraphs

_DTYPE_ATTRIBUTES = ("to", "dtype")


def with_double_floats(model: onnx.ModelProto, kept: AbstractSet[str]) -> onnx.ModelProto:
    """The model with float32 tensors as float64, its inputs included.

    kept: operators that compute in float32 all the same, between a Cast from float64 and one back.
    ``y = Conv(x, w)`` → ``y = Cast(Conv(Cast(x, to=FLOAT), Cast(w, to=FLOAT)), to=DOUBLE)``.
    """
    wide = onnx.shape_inference.infer_shapes(model)
    _widen(wide.graph, frozenset(), kept)
    return wide


def _widen(graph: onnx.GraphProto, outer: AbstractSet[str], kept: AbstractSet[str]) -> None:
    """Widens a graph in place. outer: names of float32 tensors of the graphs around it."""
    values = (*graph.input, *graph.output, *graph.value_info)
    floats = {one.name for one in values if one.type.tensor_type.elem_type == TensorProto.FLOAT}
    wide = _read_by_others(graph, kept)
    widened = [one for one in graph.initializer if one.data_type == TensorProto.FLOAT and one.name in wide]
    floats |= {one.name for one in widened} | outer
    for value in values:
        if value.name in floats and value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in widened:
        _widen_tensor(tensor)
    nodes = []
    for node in graph.node:
        nodes += _between_casts(node, floats) if node.op_type in kept else [_widened(node, floats, kept)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _read_by_others(graph: onnx.GraphProto, kept: AbstractSet[str]) -> set[str]:
    """Names that are not read by kept operators alone: weights that only they read stay as they are."""
    found = {value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        if node.op_type in kept:
            found.update(name for inner in subgraphs(node) for name in captured(inner))
        else:
            found.update(names_read(node))
    return found


def _widened(node: onnx.NodeProto, floats: AbstractSet[str], kept: AbstractSet[str]) -> onnx.NodeProto:
    for inner in subgraphs(node):
        _widen(inner, floats, kept)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            _widen_tensor(attribute.t)
        elif attribute.name in _DTYPE_ATTRIBUTES and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.DOUBLE
    return node


def _between_casts(node: onnx.NodeProto, floats: AbstractSet[str]) -> list[onnx.NodeProto]:
    before, after = [], []
    for place, name in enumerate(node.input):
        if name in floats:
            node.input[place] = f"{node.output[0]}/float32/{place}"
            before.append(helper.make_node("Cast", [name], [node.input[place]], to=TensorProto.FLOAT))
    for place, name in enumerate(node.output):
        if name in floats:
            node.output[place] = f"{name}/float32"
            after.append(helper.make_node("Cast", [node.output[place]], [name], to=TensorProto.DOUBLE))
    return [*before, node, *after]


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
