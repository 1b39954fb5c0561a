"""Copies of the nodes of a body, in the names of the graph that they are put into."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx

from autotune.models.onnx_passes.rewriting import subgraphs

# Between the name of what is inlined and the names in its body.
SEPARATOR = "/"


@dataclass(frozen=True)
class Inlining:
    """One use of a body.

    prefix:     of the names of nodes and tensors that the body makes.
    names:      the names in the graph for those in the body: its inputs and outputs, and what was inlined so far.
    attributes: the values of the attributes that a function's body refers to.
    taken:      the names that this inlining made.
    """

    prefix: str
    names: dict[str, str]
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def inlined(self, nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """The nodes in the names of the graph; a name that the body neither has nor makes is captured and stays."""
        return [self._inlined(node) for node in nodes]

    def made(self, name: str) -> str:
        """The name in the graph for one that the body makes."""
        if name and name not in self.names:
            short = _below(self.prefix, name)
            made = short if short not in self.taken else f"{self.prefix}{SEPARATOR}{name}"
            self.taken.add(made)
            self.names[name] = made
        return self.names.get(name, name)

    def _inlined(self, node: onnx.NodeProto) -> onnx.NodeProto:
        copy = onnx.NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload)
        copy.name = _below(self.prefix, node.name or next(filter(None, node.output), node.op_type))
        copy.input.extend(self.names.get(name, name) for name in node.input)
        for attribute in node.attribute:
            given = self.attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
            # An attribute that the call does not give takes the operator's default.
            if given is not None:
                own = copy.attribute.add()
                own.CopyFrom(given)
                own.name = attribute.name
        for inner in subgraphs(copy):
            self._rename(inner)
        copy.output.extend(self.made(name) for name in node.output)
        return copy

    def _rename(self, graph: onnx.GraphProto) -> None:
        inside = Inlining(self.prefix, dict(self.names), self.attributes, self.taken)
        for value in (*graph.input, *graph.initializer):
            inside.names.pop(value.name, None)
            value.name = inside.made(value.name)
        for node in graph.node:
            for name in node.output:
                inside.names.pop(name, None)
        nodes = inside.inlined(graph.node)
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        for value in graph.output:
            value.name = inside.names.get(value.name, value.name)


def _below(prefix: str, name: str) -> str:
    """A name below a prefix, without the parts that they begin with alike: nested bodies would double each time."""
    above, parts = prefix.split(SEPARATOR), name.split(SEPARATOR)
    alike = len(
        list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(above, parts[:-1], strict=False)))
    )
    return SEPARATOR.join([*above, *parts[alike:]])
