"""Dropout at inference: the identity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.rewriting import is_operator, label, opset_version, rebuilt
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types
from search_spaces.errors import Misuse

_DEFAULT_RATIO = 0.5
# Before, the mask had the element type of the data.
_FIRST_OPSET_WITH_BOOLEAN_MASK = 10


def with_identity_dropouts(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each Dropout as an Identity, and its mask, where it is read, as a constant.

    Raises Misuse for a Dropout in training mode, whose results are random.
    """
    if not any(is_operator(node, "Dropout") for node in model.graph.node):
        return model
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    masks: list[onnx.TensorProto] = []
    for node in model.graph.node:
        if not is_operator(node, "Dropout"):
            nodes.append(node)
            continue
        if _is_random(node, weights):
            raise Misuse(
                f"expected an inference model; {label(node)} drops at random: it is in training mode. "
                "Export the model in evaluation mode",
                code="AT113",
            )
        nodes.append(onnx.helper.make_node("Identity", node.input[:1], node.output[:1], node.name))
        if len(node.output) > 1 and node.output[1]:
            masks.append(_mask(node, types, opset_version(model)))
    return rebuilt(model, nodes, masks)


def _is_random(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether training mode is on, or may be, with a ratio that drops something."""
    if len(node.input) < 3 or not node.input[2]:
        return False
    mode, ratio = weights.get(node.input[2]), weights.get(node.input[1])
    if mode is not None and not numpy_helper.to_array(mode).any():
        return False
    if not node.input[1]:
        return _DEFAULT_RATIO > 0
    return ratio is None or bool(numpy_helper.to_array(ratio).any())


def _mask(node: onnx.NodeProto, types: Mapping[str, TensorType], opset: int) -> onnx.TensorProto:
    known = types.get(node.input[0])
    if known is None or known.static_shape is None:
        raise Misuse(
            f"expected a static shape for the mask of {label(node)}. Export the model without the mask",
            code="AT113",
        )
    dtype = np.dtype(bool) if opset >= _FIRST_OPSET_WITH_BOOLEAN_MASK else known.dtype
    return numpy_helper.from_array(np.ones(known.static_shape, dtype), node.output[1])
