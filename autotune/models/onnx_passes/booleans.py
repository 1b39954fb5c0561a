"""Comparisons of booleans, as logical operators."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from autotune.models.onnx_passes.rewriting import is_operator, name_of, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types


def with_logical_comparisons(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each `Equal` of booleans as the negation of `Xor`: LLVM refuses TVM's comparison of them."""
    if not any(is_operator(node, "Equal") for node in model.graph.node):
        return model
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        known = types.get(node.input[0]) if is_operator(node, "Equal") else None
        if known is None or known.elem_type != TensorProto.BOOL:
            nodes.append(node)
            continue
        differs = f"{name_of(node)}/differs"
        nodes.append(helper.make_node("Xor", node.input, [differs], differs))
        nodes.append(helper.make_node("Not", [differs], node.output, name_of(node)))
    return rebuilt(model, nodes) if len(nodes) > len(model.graph.node) else model
