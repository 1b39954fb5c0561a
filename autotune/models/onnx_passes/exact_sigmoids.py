"""Sigmoids as exponentials, for references: engines compute them by rational functions that are 0 from about -17 on."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from autotune.models.onnx_passes.rewriting import is_operator, subgraphs


def with_exact_sigmoids(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with sigmoids that are exact relative to their value, small ones too.

    ``s = Sigmoid(x)`` → ``Exp(Neg(Softplus(Neg(x))))``, in branches and bodies as well. Models with float64 are left as
    they are: ONNX Runtime has no Softplus for them, and its sigmoids are exact to 1e-16.
    """
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    kinds |= {tensor.data_type for tensor in model.graph.initializer}
    if TensorProto.DOUBLE in kinds:
        return model
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    _rewrite(exact.graph)
    return exact


def _rewrite(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for inner in subgraphs(node):
            _rewrite(inner)
    if not any(is_operator(node, "Sigmoid") for node in graph.node):
        return
    nodes = [part for node in graph.node for part in _parts(node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _parts(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    if not is_operator(node, "Sigmoid"):
        return [onnx.NodeProto.FromString(node.SerializeToString())]
    [result] = node.output
    names = [*node.input, *(f"{result}/{step}" for step in ("negative", "softplus", "exponent")), result]
    steps = zip(("Neg", "Softplus", "Neg", "Exp"), names, names[1:], strict=False)
    return [helper.make_node(operator, [read], [made]) for operator, read, made in steps]
