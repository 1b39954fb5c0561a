"""Branches and loops that constants decide, as straight code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from autotune.models.onnx_passes.evaluation import evaluated
from autotune.models.onnx_passes.inlining import Inlining
from autotune.models.onnx_passes.rewriting import attributes, is_operator, label, name_of, names_read, rebuilt
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types, static_shape_of
from search_spaces.errors import Misuse

# Loops are unrolled up to this many iterations and nodes: each node is compiled on its own.
_MAX_ITERATIONS = 1024
_MAX_NODES = 20_000

Weights = Mapping[str, onnx.TensorProto]
Types = Mapping[str, TensorType]


def with_unrolled_control_flow(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the outermost If, Loop and Scan replaced where constants decide what runs, and how often.

    An If whose condition is computed becomes a choice between the results of both branches, where these are of the
    same shape. What cannot be replaced yet stays. Raises Misuse for loops of too many iterations.
    """
    if not any(is_operator(node, "If", "Loop", "Scan") for node in model.graph.node):
        return model
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    made: list[onnx.TensorProto] = []
    is_changed = False
    for node in model.graph.node:
        unrolled = None
        if is_operator(node, "If"):
            unrolled = _chosen(model, node, weights, types)
        elif is_operator(node, "Loop"):
            unrolled = _unrolled_loop(model, node, weights)
        elif is_operator(node, "Scan"):
            unrolled = _unrolled_scan(node, types)
        if unrolled is None:
            nodes.append(node)
        else:
            is_changed = True
            nodes += unrolled[0]
            made += unrolled[1]
    return rebuilt(model, nodes, made) if is_changed else model


Unrolled = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def _chosen(model: onnx.ModelProto, node: onnx.NodeProto, weights: Weights, types: Types) -> Unrolled | None:
    """The branch that a constant condition takes; else both branches and a choice between their results."""
    given = attributes(node)
    condition = weights.get(node.input[0])
    if condition is not None:
        is_true = bool(numpy_helper.to_array(condition).reshape(-1)[0])
        part = _Part(given["then_branch" if is_true else "else_branch"], name_of(node))
        return part.nodes + _copies(node, part.results, node.output), part.weights
    both = [_Part(given[f"{branch}_branch"], f"{name_of(node)}/{branch}") for branch in ("then", "else")]
    inside = [{**types, **_types_inside(model, part, types)} for part in both]
    for left, right in zip(both[0].results, both[1].results, strict=True):
        known = inside[0].get(left)
        if known is None or known.static_shape is None or known != inside[1].get(right):
            return None
    if any(_may_trap(part, found) for part, found in zip(both, inside, strict=True)):
        return None
    choices = [
        helper.make_node("Where", [node.input[0], left, right], [name], f"{name_of(node)}/{name}")
        for left, right, name in zip(both[0].results, both[1].results, node.output, strict=True)
        if name
    ]
    return both[0].nodes + both[1].nodes + choices, both[0].weights + both[1].weights


def _types_inside(model: onnx.ModelProto, part: _Part, types: Types) -> Types:
    """The types of what a branch computes."""
    branch = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    branch.graph.name = "branch"
    branch.graph.node.extend(part.nodes)
    branch.graph.initializer.extend(part.weights)
    made = {name for node in part.nodes for name in node.output} | {tensor.name for tensor in part.weights}
    for name in {name for node in part.nodes for name in names_read(node)} - made:
        if name in types:
            branch.graph.input.append(
                helper.make_tensor_value_info(name, types[name].elem_type, types[name].shape)
            )
    return inferred_types(branch)


def _may_trap(part: _Part, types: Types) -> bool:
    """Whether a branch must not run where it is not taken: an integer division may be by zero."""
    return any(
        node.op_type in ("If", "Loop", "Scan")
        or (
            node.op_type in ("Div", "Mod")
            and (node.output[0] not in types or types[node.output[0]].dtype.kind in "iu")
        )
        for node in part.nodes
    )


class _Part:
    """A branch, or one iteration of a body, in the names of the graph around it."""

    def __init__(self, graph: onnx.GraphProto, prefix: str, inputs: Sequence[str] = ()) -> None:
        inlining = Inlining(prefix, dict(zip((value.name for value in graph.input), inputs, strict=False)))
        self.weights = []
        for tensor in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = inlining.made(tensor.name)
            self.weights.append(copy)
        self.nodes = inlining.inlined(graph.node)
        self.results = [inlining.names.get(value.name, value.name) for value in graph.output]


def _unrolled_loop(model: onnx.ModelProto, node: onnx.NodeProto, weights: Weights) -> Unrolled | None:
    """The iterations of a Loop one after another; None where the number of iterations depends on data."""
    body = attributes(node)["body"]
    limit, given = node.input[0], node.input[1] if len(node.input) > 1 else ""
    if any(name and name not in weights for name in (limit, given)):
        return None
    most = int(numpy_helper.to_array(weights[limit]).reshape(-1)[0]) if limit else _MAX_ITERATIONS + 1
    made = [numpy_helper.from_array(np.array(True), f"{name_of(node)}/condition")]
    condition = given or made[0].name
    constants = _Constants(model, {**weights, made[0].name: made[0]})
    carried = list(node.input[2:])
    rows: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    nodes: list[onnx.NodeProto] = []
    for step in range(most):
        goes_on = constants.truth(condition, carried)
        if goes_on is None:
            return None
        if not goes_on:
            break
        _check_size(node, step + 1, len(nodes))
        prefix = f"{name_of(node)}/{step}"
        number = numpy_helper.from_array(np.array(step, np.int64), f"{prefix}/step")
        part = _Part(body, prefix, [number.name, condition, *carried])
        nodes += part.nodes
        made += [number, *part.weights]
        constants.add(part.nodes, [number, *part.weights])
        condition, *results = part.results
        carried, scanned = results[: len(carried)], results[len(carried) :]
        for row, name in zip(rows, scanned, strict=True):
            row.append(name)
    stacked = [(name, row) for name, row in zip(node.output[len(carried) :], rows, strict=False) if name]
    if not all(row for _, row in stacked):
        return None
    nodes += _copies(node, carried, node.output)
    for name, row in stacked:
        nodes += _stacked(node, row, name, 0)
    return nodes, [*made, _axis(node, 0)]


class _Constants:
    """The values of conditions while a loop is unrolled."""

    def __init__(self, model: onnx.ModelProto, weights: dict[str, onnx.TensorProto]) -> None:
        self._model = model
        self._known = weights
        self._makers: dict[str, onnx.NodeProto] = {}

    def add(self, nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto]) -> None:
        """Takes the nodes and constants of one more iteration."""
        self._known.update((tensor.name, tensor) for tensor in weights)
        self._makers.update((name, node) for node in nodes for name in node.output)

    def truth(self, condition: str, carried: Sequence[str]) -> bool | None:
        """The value of a condition; None where it depends on data. What it is computed from is kept for later ones."""
        while condition not in self._known and is_operator(self._makers.get(condition, _NOTHING), "Identity"):
            condition = self._makers[condition].input[0]
        if condition not in self._known:
            nodes = self._needed(condition)
            if nodes is None:
                return None
            kept = {condition, *carried}
            self._known.update(evaluated(self._model, nodes, self._known, kept))
        found = self._known.get(condition)
        return None if found is None else bool(numpy_helper.to_array(found).reshape(-1)[0])

    def _needed(self, condition: str) -> list[onnx.NodeProto] | None:
        """The nodes that compute a name from constants, in their order; None where it depends on anything else."""
        needed, waiting = set(), [condition]
        while waiting:
            name = waiting.pop()
            if name in self._known or name in needed:
                continue
            if name not in self._makers:
                return None
            needed.update(self._makers[name].output)
            waiting += names_read(self._makers[name])
        return list({node.name: node for name, node in self._makers.items() if name in needed}.values())


_NOTHING = onnx.NodeProto()


def _unrolled_scan(node: onnx.NodeProto, types: Types) -> Unrolled | None:
    """The iterations of a Scan one after another; None where the number of iterations is not known."""
    given = attributes(node)
    body, scanned = given["body"], given["num_scan_inputs"]
    carried = list(node.input[: len(node.input) - scanned])
    sources = list(node.input[len(carried) :])
    length = _scan_length(node, sources, types)
    if not length:
        return None
    _check_size(node, length, len(body.node) * (length - 1))
    places = [numpy_helper.from_array(np.array(step), f"{name_of(node)}/at_{step}") for step in range(length)]
    axes = given.get("scan_input_axes", [0] * scanned)
    backward = given.get("scan_input_directions", [0] * scanned)
    nodes: list[onnx.NodeProto] = []
    made = list(places)
    rows: list[list[str]] = [[] for _ in body.output[len(carried) :]]
    for step in range(length):
        prefix = f"{name_of(node)}/{step}"
        slices = [f"{prefix}/slice_{place}" for place in range(scanned)]
        for place, (source, name) in enumerate(zip(sources, slices, strict=True)):
            at = places[length - 1 - step if backward[place] else step].name
            nodes.append(helper.make_node("Gather", [source, at], [name], name, axis=axes[place]))
        part = _Part(body, prefix, [*carried, *slices])
        nodes += part.nodes
        made += part.weights
        carried, results = part.results[: len(carried)], part.results[len(carried) :]
        for row, name in zip(rows, results, strict=True):
            row.append(name)
    nodes += _copies(node, carried, node.output)
    out_axes = given.get("scan_output_axes", [0] * len(rows))
    out_backward = given.get("scan_output_directions", [0] * len(rows))
    for place, name in enumerate(node.output[len(carried) :]):
        if name:
            row = rows[place][::-1] if out_backward[place] else rows[place]
            nodes += _stacked(node, row, name, out_axes[place])
    return nodes, [*made, *(_axis(node, axis) for axis in sorted({*out_axes}))]


def _scan_length(node: onnx.NodeProto, sources: Sequence[str], types: Types) -> int | None:
    """The number of iterations of a Scan, where the shapes of what it scans are known."""
    axes = attributes(node).get("scan_input_axes", [0] * len(sources))
    lengths = set()
    for source, axis in zip(sources, axes, strict=True):
        shape = static_shape_of(types, source)
        if shape is None:
            return None
        lengths.add(shape[axis])
    return lengths.pop() if len(lengths) == 1 else None


def _copies(node: onnx.NodeProto, sources: Sequence[str], names: Sequence[str]) -> list[onnx.NodeProto]:
    """Identities that give the names of a node's outputs to the last results."""
    return [
        helper.make_node("Identity", [source], [name], f"{name_of(node)}/{name}")
        for source, name in zip(sources, names, strict=False)
        if name
    ]


def _stacked(node: onnx.NodeProto, rows: Sequence[str], name: str, axis: int) -> list[onnx.NodeProto]:
    """The results of all iterations along a new axis."""
    prefix = f"{name_of(node)}/{name}"
    parts = [f"{prefix}/row_{place}" for place in range(len(rows))]
    lifted = [
        helper.make_node("Unsqueeze", [row, _axis(node, axis).name], [part], part)
        for row, part in zip(rows, parts, strict=True)
    ]
    return [*lifted, helper.make_node("Concat", parts, [name], f"{prefix}/stack", axis=axis)]


def _axis(node: onnx.NodeProto, axis: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([axis], np.int64), f"{name_of(node)}/axis_{axis}")


def _check_size(node: onnx.NodeProto, iterations: int, num_nodes: int) -> None:
    if iterations > _MAX_ITERATIONS or num_nodes > _MAX_NODES:
        raise Misuse(
            f"expected a loop of at most {_MAX_ITERATIONS} iterations and {_MAX_NODES} nodes in all to unroll; "
            f"{label(node)} has more. Export the model with a shorter sequence, or without the loop",
            code="AT113",
        )
