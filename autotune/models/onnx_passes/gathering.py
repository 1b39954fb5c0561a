"""Reads and writes of elements at given places."""

from __future__ import annotations

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite


def gather(node: Node) -> Outputs:
    """Gather, whose constant indices must be within the axis: what is compiled reads whatever is there.

    One element of a concatenation of single elements is that operand.
    """
    length, indices = node[0].shape[node.attribute("axis", 0)], node[1].array
    if indices is not None and indices.size and not (-length <= indices.min() and indices.max() < length):
        raise node.refusal(
            f"has indices from {indices.min()} to {indices.max()} for {length} elements",
            "Export the model again",
        )
    axis = node.attribute("axis", 0) % node[0].rank
    if indices is not None and not indices.shape and node.graph.operand_at(node[0], axis, 0):
        return [node[0].index(axis, int(indices))]
    return None


def scatter(node: Node) -> Outputs:
    """Scatter under its later name."""
    axis = node.attribute("axis", 0)
    return [node.graph.add("ScatterElements", node[0], node[1], node[2], axis=axis)]


REWRITES: dict[str, Rewrite] = {
    "Gather": gather,
    "Scatter": scatter,
}
