"""Nodes that compute what is there already, or what nothing reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.rewriting import (
    attributes,
    is_operator,
    names_read,
    rebuilt,
    reconnected,
    subgraphs,
)
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types

# Every run gives another result: two of them are not one.
_RANDOM_PREFIX = ("Random", "Multinomial", "Bernoulli")
_SAME_IF_SHAPE_IS = ("Expand", "Flatten", "Reshape", "Squeeze", "Tile", "Unsqueeze")


def with_live_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without nodes and initializers that no output depends on; inputs stay."""
    needed = {value.name for value in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(names_read(node))
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    if len(kept) == len(model.graph.node) and len(weights) == len(model.graph.initializer):
        return model
    light = onnx.ModelProto()
    light.CopyFrom(model)
    del light.graph.node[:], light.graph.initializer[:]
    light.graph.node.extend(reversed(kept))
    light.graph.initializer.extend(weights)
    return light


def without_copies(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without Identity, casts to the same type, and expansions, slices and reshapes that change nothing.

    Nor do choices by a constant that is true or false everywhere. Sums with zeros and products with ones stay: training
    changes these constants, and operators must not change with them. What names an output of the model stays.
    """
    types = inferred_types(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    sources: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        copied = _copied(node, types, weights)
        if copied is not None and node.output[0] not in outputs:
            sources[node.output[0]] = sources.get(copied, copied)
        else:
            kept.append(node)
    return rebuilt(model, renamed(kept, sources)) if sources else model


def without_empty_operands(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with concatenations of only those tensors that have elements."""
    if not any(is_operator(node, "Concat") for node in model.graph.node):
        return model
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    is_changed = False
    for node in model.graph.node:
        full = [name for name in node.input if name not in types or types[name].num_bytes != 0]
        if is_operator(node, "Concat") and 0 < len(full) < len(node.input):
            is_changed = True
            node = reconnected(node, full, node.output)
        nodes.append(node)
    return rebuilt(model, nodes) if is_changed else model


def with_shared_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with one node for all that compute the same of the same: common subexpressions."""
    outputs = {value.name for value in model.graph.output}
    first: dict[bytes, Sequence[str]] = {}
    sources: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        (node,) = renamed([node], sources)
        known = first.setdefault(_computation(node), node.output)
        is_shared = known is not node.output and not any(name in outputs for name in node.output)
        if is_shared and _names_the_same(known, node.output) and not node.op_type.startswith(_RANDOM_PREFIX):
            sources.update(zip(node.output, known, strict=True))
        else:
            kept.append(node)
    return rebuilt(model, kept) if sources else model


def renamed(nodes: Sequence[onnx.NodeProto], sources: Mapping[str, str]) -> list[onnx.NodeProto]:
    """The nodes with the names that they read replaced, those in their subgraphs included."""
    found = []
    for node in nodes:
        if any(name in sources for name in names_read(node)):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            _rename(copy, sources)
            found.append(copy)
        else:
            found.append(node)
    return found


def _rename(node: onnx.NodeProto, sources: Mapping[str, str]) -> None:
    for place, name in enumerate(node.input):
        node.input[place] = sources.get(name, name)
    for graph in subgraphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own |= {name for inner in graph.node for name in inner.output}
        outer = {name: source for name, source in sources.items() if name not in own}
        for inner in graph.node:
            _rename(inner, outer)
        for value in graph.output:
            value.name = outer.get(value.name, value.name)


def _copied(
    node: onnx.NodeProto, types: Mapping[str, TensorType], weights: Mapping[str, onnx.TensorProto]
) -> str | None:
    """The operand that the first output is equal to, element by element; None where there is none."""
    if _is_copy(node, types, weights):
        return str(node.input[0])
    place = _chosen(node, weights)
    source = types.get(node.input[place]) if place is not None else None
    result = types.get(node.output[0])
    if place is None or source is None or result is None or source.static_shape is None:
        return None
    is_same = source.shape == result.shape and source.elem_type == result.elem_type
    return str(node.input[place]) if is_same else None


def _chosen(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> int | None:
    """The place of the operand that a constant condition chooses everywhere; None where there is none."""
    condition = weights.get(node.input[0]) if is_operator(node, "Where") else None
    if condition is None:
        return None
    values = numpy_helper.to_array(condition)
    if values.all():
        return 1
    return None if values.any() else 2


def _is_copy(
    node: onnx.NodeProto, types: Mapping[str, TensorType], weights: Mapping[str, onnx.TensorProto]
) -> bool:
    """Whether the first output is the first input, element by element."""
    if is_operator(node, "Identity"):
        return True
    if is_operator(node, "Concat", "Sum", "Max", "Min", "Mean"):
        return len(node.input) == 1
    source, result = (types.get(names[0]) if names else None for names in (node.input, node.output))
    if is_operator(node, "Cast"):
        return source is not None and attributes(node)["to"] == source.elem_type
    if is_operator(node, "Transpose"):
        order = attributes(node).get("perm")
        return order is not None and list(order) == sorted(order)
    if source is None or result is None or source.static_shape is None or source.shape != result.shape:
        return False
    if is_operator(node, "Slice"):
        steps = (
            numpy_helper.to_array(weights[node.input[4]])
            if node.input[4:] and node.input[4] in weights
            else None
        )
        return len(node.input) < 5 or (steps is not None and bool((steps == 1).all()))
    return is_operator(node, *_SAME_IF_SHAPE_IS)


def _computation(node: onnx.NodeProto) -> bytes:
    bare = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=node.input)
    bare.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    return bytes(bare.SerializeToString(deterministic=True))


def _names_the_same(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether two nodes give the same ones of their optional outputs."""
    return [bool(name) for name in left] == [bool(name) for name in right]
