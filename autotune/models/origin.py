"""The nodes of a user's ONNX file, found again from the names of the nodes that they were rewritten to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS, subgraphs
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types
from search_spaces.errors import Misuse

# Between the name of a node of the file and the parts that a pass made of it.
SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Origin:
    """A node of the user's file.

    type: of its first output, where that is known.
    """

    name: str
    operator: str
    output: str
    type: TensorType | None

    def __str__(self) -> str:
        named = f"{self.operator} {self.name!r}" if self.name else self.operator
        if self.type is None or self.type.shape is None:
            return f"{named} (output {self.output!r})"
        sizes = ",".join("?" if size is None else str(size) for size in self.type.shape) or "scalar"
        return f"{named} (output {self.output!r}: {self.type.dtype.name} {sizes})"


@dataclass(frozen=True)
class Origins:
    """The nodes of a file by the name that they have in the rewritten graph: their own, or that of their output.

    remedy: what to do about a node that cannot be compiled.
    """

    file: str
    nodes: Mapping[str, Origin]
    remedy: str = (
        "Export the model without this operator; `autotune compare` can still time it in ONNX Runtime"
    )

    def of(self, name: str) -> Origin | None:
        """The node that a node of the rewritten graph was made of, by its name: ``conv1/scale`` of ``conv1``."""
        while name:
            if name in self.nodes:
                return self.nodes[name]
            name = name.rpartition(SEPARATOR)[0]
        return None

    def refusal(self, node: Origin | str | None, reason: str, remedy: str = "") -> Misuse:
        """The error for a node that cannot be compiled: by its name in the rewritten graph, or None if not known."""
        origin, name = (node, "") if isinstance(node, Origin) else (self.of(node or ""), node)
        where = str(origin) if origin else f"the node {name!r}" if name else "the graph as a whole"
        return Misuse(
            f"cannot import {self.file}: {where}: {reason.rstrip('.')}. {remedy or self.remedy}", code="AT106"
        )


def with_named_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a name of its own for each node of the main graph: its first output's where it has none."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    taken: set[str] = set()
    for node in named.graph.node:
        name = node.name or next(filter(None, node.output), node.op_type)
        if name in taken:
            name = next(filter(None, node.output), name)
        while name in taken:
            name += "'"
        node.name = name
        taken.add(name)
    return named


def origins_of(model: onnx.ModelProto, file: str) -> Origins:
    """The nodes of a model that `with_named_nodes` returned, those in branches and bodies included."""
    types = inferred_types(model)
    found: dict[str, Origin] = {}

    def visit(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            output = next(filter(None, node.output), "")
            operator = node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}.{node.op_type}"
            found.setdefault(node.name or output, Origin(node.name, operator, output, types.get(output)))
            for inner in subgraphs(node):
                visit(inner)

    visit(model.graph)
    return Origins(file, found)
