"""Reading and rebuilding ONNX graphs, shared by the passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx import AttributeProto

DEFAULT_DOMAINS = ("", "ai.onnx")


def rebuilt(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], weights: Iterable[onnx.TensorProto] = ()
) -> onnx.ModelProto:
    """A copy of the model with these nodes in place of its own, and with additional initializers."""
    nodes = list(nodes)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(weights)
    return copy


def is_operator(node: onnx.NodeProto, *op_types: str) -> bool:
    """Whether it is one of these operators of ONNX's own domain."""
    return node.op_type in op_types and node.domain in DEFAULT_DOMAINS


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that a node gives, as Python values."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The branches or the body of a control flow operator."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The names of a node's inputs, and of what its subgraphs capture; missing optional inputs left out."""
    yield from filter(None, node.input)
    for graph in subgraphs(node):
        yield from captured(graph)


def captured(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that a subgraph takes from outside."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        yield from (name for name in names_read(node) if name not in known)
        known.update(node.output)
    yield from (value.name for value in graph.output if value.name not in known)


def opset_version(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operator set that the model uses."""
    versions = [each.version for each in model.opset_import if each.domain in DEFAULT_DOMAINS]
    return max(versions, default=1)


def name_of(node: onnx.NodeProto) -> str:
    """The name of a node; that of its first output where it has none."""
    return str(node.name or next(filter(None, node.output), node.op_type))


def label(node: onnx.NodeProto) -> str:
    """A node in an error: ``Resize 'upsample' (output 'y')``."""
    operator = node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}.{node.op_type}"
    output = next(filter(None, node.output), "")
    return f"{operator} {node.name!r} (output {output!r})" if node.name else f"{operator} {output!r}"


def reconnected(node: onnx.NodeProto, inputs: Iterable[str], outputs: Iterable[str]) -> onnx.NodeProto:
    """A copy of a node that reads and writes other tensors."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:], copy.output[:]
    copy.input.extend(inputs)
    copy.output.extend(outputs)
    return copy


def sole_readers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that reads a name, for names that are read once and are no outputs of the model."""
    found: dict[str, onnx.NodeProto] = {}
    repeated = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for name in names_read(node):
            if name in found:
                repeated.add(name)
            found[name] = node
    return {name: node for name, node in found.items() if name not in repeated}
