"""Batch norms that no convolution has absorbed, as one multiplication and one addition."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.absorbed_scales import affine_batch_norm
from autotune.models.onnx_passes.rewriting import is_operator, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types


def with_affine_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with batch norms of constant statistics as x · scale + shift; itself where it has none.

    TVM would compute x - mean, a division, a multiplication and an addition for each element, and compile a program
    for every step of folding their constants.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    affine = {
        node.output[0]: found
        for node in model.graph.node
        if is_operator(node, "BatchNormalization") and (found := affine_batch_norm(node, weights))
    }
    if not affine:
        return model
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    made: list[onnx.TensorProto] = []
    for node in model.graph.node:
        known = types.get(node.input[0]) if node.output[0] in affine else None
        if known is None or known.shape is None:
            nodes.append(node)
            continue
        origin = node.name or node.output[0]
        shape = (1, -1, *[1] * (len(known.shape) - 2))
        for part, value in zip(("scale", "shift"), affine[node.output[0]], strict=True):
            made.append(numpy_helper.from_array(value.reshape(shape).astype(known.dtype), f"{origin}/{part}"))
        scaled = f"{origin}/scaled"
        nodes += [
            onnx.helper.make_node("Mul", [node.input[0], f"{origin}/scale"], [scaled], f"{origin}/multiply"),
            onnx.helper.make_node("Add", [scaled, f"{origin}/shift"], [node.output[0]], f"{origin}/add"),
        ]
    return rebuilt(model, nodes, made)
