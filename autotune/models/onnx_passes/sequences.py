"""Sequences and optionals that are made and taken apart within the graph, as plain tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from autotune.models.onnx_passes.redundant_nodes import renamed
from autotune.models.onnx_passes.rewriting import attributes, is_operator, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types

_OPERATORS = (
    "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceAt", "SequenceLength",
    "ConcatFromSequence", "SplitToSequence", "Optional", "OptionalHasElement", "OptionalGetElement",
)  # fmt: skip


def with_resolved_sequences(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each sequence as the tensors in it, where constants say which; others stay."""
    if not any(is_operator(node, *_OPERATORS) for node in model.graph.node):
        return model
    resolving = _Resolving(model)
    nodes: list[onnx.NodeProto] = []
    is_changed = False
    for node in model.graph.node:
        (node,) = renamed([node], resolving.tensors)
        found = resolving.resolved(node)
        is_changed = is_changed or found is not None
        nodes += [node] if found is None else found
    return rebuilt(model, nodes, resolving.made) if is_changed else model


@dataclass
class _Resolving:
    """The walk over the nodes of a model.

    sequences: the tensors in each sequence; an optional is a sequence of none or one.
    tensors:   the tensors that stand for the elements taken out of sequences.
    made:      new initializers.
    """

    model: onnx.ModelProto
    sequences: dict[str, list[str]] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    made: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._types = inferred_types(self.model)

    def resolved(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """The nodes in place of one; None where it stays."""
        if is_operator(node, "Identity") and node.input[0] in self.sequences:
            self.sequences[node.output[0]] = self.sequences[node.input[0]]
            return []
        if not is_operator(node, *_OPERATORS):
            return None
        for makers in (self._made, self._changed, self._taken, self._asked):
            found = makers(node)
            if found is not None:
                return found
        return None

    def _made(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A new sequence."""
        if node.op_type in ("SequenceConstruct", "SequenceEmpty"):
            self.sequences[node.output[0]] = list(node.input)
            return []
        if node.op_type == "Optional":
            source = [name for name in node.input if name]
            if source and source[0] in self.sequences:
                self.sequences[node.output[0]] = self.sequences[source[0]]
            else:
                self.sequences[node.output[0]] = source
            return []
        return self._split(node) if node.op_type == "SplitToSequence" else None

    def _changed(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A sequence with an element more, or less."""
        if node.op_type not in ("SequenceInsert", "SequenceErase") or node.input[0] not in self.sequences:
            return None
        elements = list(self.sequences[node.input[0]])
        at = node.input[2:3] if node.op_type == "SequenceInsert" else node.input[1:2]
        position = self._integer(at[0]) if at and at[0] else None
        if position is None and at and at[0]:
            return None
        if node.op_type == "SequenceInsert":
            elements.insert(len(elements) if position is None else position, node.input[1])
        elif elements:
            del elements[-1 if position is None else position]
        self.sequences[node.output[0]] = elements
        return []

    def _taken(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A tensor out of a sequence."""
        name = node.output[0]
        if node.op_type == "OptionalGetElement":
            elements = self.sequences.get(node.input[0], [node.input[0]])
            return [helper.make_node("Identity", elements, [name], node.name)] if len(elements) == 1 else None
        elements = self.sequences.get(node.input[0], [])
        if node.op_type == "SequenceAt":
            position = self._integer(node.input[1])
            if position is None or not -len(elements) <= position < len(elements):
                return None
            return [helper.make_node("Identity", [elements[position]], [name], node.name)]
        if node.op_type == "ConcatFromSequence" and elements:
            return self._joined(node, elements)
        return None

    def _asked(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A number that is known of a sequence."""
        if node.op_type == "SequenceLength" and node.input[0] in self.sequences:
            length = np.array(len(self.sequences[node.input[0]]), np.int64)
            self.made.append(numpy_helper.from_array(length, node.output[0]))
            return []
        if node.op_type == "OptionalHasElement":
            given = [name for name in node.input if name]
            has_element = bool(given and self.sequences.get(given[0], given))
            self.made.append(numpy_helper.from_array(np.array(has_element), node.output[0]))
            return []
        return None

    def _joined(self, node: onnx.NodeProto, elements: Sequence[str]) -> list[onnx.NodeProto]:
        given = attributes(node)
        nodes: list[onnx.NodeProto] = []
        if given.get("new_axis"):
            axis = self._constant(node, "axis", [given["axis"]])
            parts = [f"{node.name}/part_{place}" for place in range(len(elements))]
            for element, part in zip(elements, parts, strict=True):
                nodes.append(helper.make_node("Unsqueeze", [element, axis], [part], part))
            elements = parts
        return [*nodes, helper.make_node("Concat", elements, node.output, node.name, axis=given["axis"])]

    def _split(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        given, known = attributes(node), self._types.get(node.input[0])
        if known is None or known.static_shape is None:
            return None
        axis = given.get("axis", 0) % len(known.static_shape)
        size = known.static_shape[axis]
        keeps_axis = bool(given.get("keepdims", 1))
        sizes = [1] * size
        if len(node.input) > 1 and node.input[1]:
            if node.input[1] not in self._weights:
                return None
            split = numpy_helper.to_array(self._weights[node.input[1]])
            whole = int(split) if split.ndim == 0 else 0
            sizes = [min(whole, size - start) for start in range(0, size, whole)] if whole else split.tolist()
            keeps_axis = True
        parts = [f"{node.name}/part_{place}" for place in range(len(sizes))]
        self.sequences[node.output[0]] = parts
        lengths = self._constant(node, "split", sizes)
        if keeps_axis:
            return [helper.make_node("Split", [node.input[0], lengths], parts, node.name, axis=axis)]
        axes = self._constant(node, "axis", [axis])
        whole_parts = [f"{part}/kept" for part in parts]
        return [
            helper.make_node("Split", [node.input[0], lengths], whole_parts, node.name, axis=axis),
            *(
                helper.make_node("Squeeze", [kept, axes], [part], part)
                for kept, part in zip(whole_parts, parts, strict=True)
            ),
        ]

    def _integer(self, name: str) -> int | None:
        tensor = self._weights.get(name)
        return None if tensor is None else int(numpy_helper.to_array(tensor).reshape(-1)[0])

    def _constant(self, node: onnx.NodeProto, part: str, values: Sequence[int]) -> str:
        name = f"{node.name}/{part}"
        self.made.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name
