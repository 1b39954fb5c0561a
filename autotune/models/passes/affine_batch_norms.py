"""Batch norms that no convolution has absorbed, as one multiplication and one addition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

_OPERATOR = "BatchNormalization"


def with_affine_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with batch norms of constant statistics as x · scale + shift; itself where it has none.

    TVM would compute x - mean, a division, a multiplication and an addition for each element, and compile a program
    for every step of folding their constants.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if _is_constant(node, weights)]
    if not found:
        return model
    model = onnx.shape_inference.infer_shapes(model)
    known = [*model.graph.input, *model.graph.value_info]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in known}
    for position, node in reversed(list(enumerate(model.graph.node))):
        if _is_constant(node, weights) and node.input[0] in ranks:
            scale, shift = _affine(node, weights, ranks[node.input[0]])
            names = [f"{node.output[0]}/{part}" for part in ("scale", "shift", "scaled")]
            del model.graph.node[position]
            add = onnx.helper.make_node(
                "Add", [names[2], names[1]], [node.output[0]], name=f"{node.name}/shift"
            )
            multiply = onnx.helper.make_node(
                "Mul", [node.input[0], names[0]], [names[2]], name=f"{node.name}/scale"
            )
            model.graph.node.insert(position, add)
            model.graph.node.insert(position, multiply)
            model.graph.initializer.append(numpy_helper.from_array(scale, names[0]))
            model.graph.initializer.append(numpy_helper.from_array(shift, names[1]))
    return model


def _is_constant(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    is_training = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
    statistics = node.input[1:5]
    return (
        node.op_type == _OPERATOR
        and not is_training
        and sum(name != "" for name in node.output) == 1
        and all(name in weights for name in statistics)
    )


def _affine(
    node: onnx.NodeProto, weights: dict[str, onnx.TensorProto], rank: int
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """Scale and shift along the second of rank dimensions."""
    gamma, beta, mean, variance = (
        numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5]
    )
    epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
    dtype = numpy_helper.to_array(weights[node.input[1]]).dtype
    shape = (1, -1, *[1] * (rank - 2))
    scale = gamma / np.sqrt(variance + epsilon)
    shift = beta - mean * scale
    return scale.reshape(shape).astype(dtype), shift.reshape(shape).astype(dtype)
