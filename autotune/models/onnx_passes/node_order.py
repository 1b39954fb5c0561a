"""The order of the nodes of a graph: each after those whose results it reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import onnx

from autotune.models.onnx_passes.rewriting import label, names_read, rebuilt, subgraphs
from search_spaces.errors import Misuse

# Nodes of a cycle that the error names.
_MAX_NAMED = 4


def with_sorted_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its nodes, and those of branches and bodies, in an order to run them; itself where they are.

    Raises Misuse for nodes that depend on each other in a cycle.
    """
    if _is_sorted(model.graph):
        return model
    model = rebuilt(model, model.graph.node)
    _sort(model.graph)
    return model


def _is_sorted(graph: onnx.GraphProto) -> bool:
    made = {name for node in graph.node for name in node.output if name}
    known: set[str] = set()
    for node in graph.node:
        if not all(_is_sorted(inner) for inner in subgraphs(node)):
            return False
        if any(name in made and name not in known for name in names_read(node)):
            return False
        known.update(node.output)
    return True


def _sort(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for inner in subgraphs(node):
            _sort(inner)
    nodes = list(graph.node)
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    sources = [{maker[name] for name in names_read(node) if name in maker} for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for place, before in enumerate(sources):
        for source in before:
            readers[source].append(place)
    waits_for = [len(before) for before in sources]
    ready = deque(place for place, count in enumerate(waits_for) if not count)
    order = []
    while ready:
        order.append(ready.popleft())
        for reader in readers[order[-1]]:
            waits_for[reader] -= 1
            if not waits_for[reader]:
                ready.append(reader)
    if len(order) < len(nodes):
        raise _cycle(nodes, sources, set(range(len(nodes))) - set(order))
    copies = [onnx.NodeProto.FromString(nodes[place].SerializeToString()) for place in order]
    del graph.node[:]
    graph.node.extend(copies)


def _cycle(nodes: Sequence[onnx.NodeProto], sources: Sequence[set[int]], left: set[int]) -> Misuse:
    place, path = min(left), []
    while place not in path:
        path.append(place)
        place = min(sources[place] & left)
    cycle = path[path.index(place) :]
    named = ", ".join(label(nodes[each]) for each in cycle[:_MAX_NAMED])
    more = f" and {len(cycle) - _MAX_NAMED} more" if len(cycle) > _MAX_NAMED else ""
    return Misuse(
        f"expected a graph without cycles; these nodes wait for each other: {named}{more}. Export it again",
        code="AT112",
    )
