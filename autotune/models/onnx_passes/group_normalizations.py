"""Group normalizations that exporters write as instance normalizations of reshaped images."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, rebuilt, sole_readers
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types, static_shape_of

_RANK_OF_GROUPS = 3


def with_group_normalizations(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each group normalization as one operator, which keeps the layout of its image.

    Reshape(InstanceNormalization(Reshape(x, [N, groups, -1]), scale, bias), [N, C, H, W])
    →  GroupNormalization(x, scale, bias)
    """
    if not any(is_operator(node, "InstanceNormalization") for node in model.graph.node):
        return model
    types, readers = inferred_types(model), sole_readers(model)
    writers = {name: node for node in model.graph.node for name in node.output}
    replaced: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        before = writers.get(node.input[0]) if is_operator(node, "InstanceNormalization") else None
        after = readers.get(node.output[0])
        groups = _groups(before, after, types) if before is not None and after is not None else None
        if before is not None and after is not None and groups is not None:
            replaced[after.output[0]] = helper.make_node(
                "GroupNormalization",
                [before.input[0], *node.input[1:]],
                after.output,
                node.name,
                epsilon=attributes(node).get("epsilon", 1e-5),
                num_groups=groups,
            )
    if not replaced:
        return model
    return rebuilt(model, (replaced.get(next(iter(node.output), ""), node) for node in model.graph.node))


def _groups(before: onnx.NodeProto, after: onnx.NodeProto, types: Mapping[str, TensorType]) -> int | None:
    """The number of groups of channels that a reshape puts beside each other and another undoes; None for others."""
    if not is_operator(before, "Reshape") or not is_operator(after, "Reshape"):
        return None
    image, apart, back = (
        static_shape_of(types, name) for name in (before.input[0], before.output[0], after.output[0])
    )
    if image is None or apart is None or image != back or len(image) < _RANK_OF_GROUPS:
        return None
    is_of_groups = len(apart) == _RANK_OF_GROUPS and apart[0] == image[0] and image[1] % apart[1] == 0
    return apart[1] if is_of_groups else None
