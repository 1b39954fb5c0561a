"""Constants in all the forms of ONNX, as dense initializers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, subgraphs

# The element type of each attribute of a Constant that is no tensor; the plural ones make one-dimensional tensors.
_SCALARS = {
    "value_float": TensorProto.FLOAT,
    "value_int": TensorProto.INT64,
    "value_string": TensorProto.STRING,
}


def with_dense_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with `Constant` nodes and sparse initializers as dense initializers of the same element type."""
    if not _has_other_constants(model.graph):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _rewrite(copy.graph)
    return copy


def dense(sparse: onnx.SparseTensorProto) -> npt.NDArray[np.generic]:
    """A sparse tensor with its zeros; indices are positions in the flat tensor, or rows of coordinates."""
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices).astype(np.int64)
    shape = tuple(sparse.dims)
    flat = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices
    full = np.zeros(shape, values.dtype).reshape(-1)
    full[flat] = values
    return full.reshape(shape)


def _has_other_constants(graph: onnx.GraphProto) -> bool:
    return bool(graph.sparse_initializer) or any(
        is_operator(node, "Constant") or any(map(_has_other_constants, subgraphs(node)))
        for node in graph.node
    )


def _rewrite(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        graph.initializer.append(numpy_helper.from_array(dense(sparse), sparse.values.name))
    del graph.sparse_initializer[:]
    kept = []
    for node in graph.node:
        if is_operator(node, "Constant"):
            graph.initializer.append(_tensor(node))
        else:
            kept.append(node)
            for inner in subgraphs(node):
                _rewrite(inner)
    _replace(graph, kept)


def _replace(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def _tensor(node: onnx.NodeProto) -> onnx.TensorProto:
    ((name, value),) = attributes(node).items()
    if name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        return tensor
    if name == "sparse_value":
        return numpy_helper.from_array(dense(value), node.output[0])
    if name in _SCALARS:
        return onnx.helper.make_tensor(node.output[0], _SCALARS[name], (), [value])
    return onnx.helper.make_tensor(node.output[0], _SCALARS[name.removesuffix("s")], (len(value),), value)
