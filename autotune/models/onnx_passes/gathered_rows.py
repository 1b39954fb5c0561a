"""Rows that are gathered one by one from a tensor, as one split of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import helper, numpy_helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, name_of, rebuilt
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types, static_shape_of

# Fewer rows may as well be read where they lie.
_LEAST_ROWS = 8

_Source = tuple[str, int]


def with_split_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a Split in place of many Gathers of single rows of one tensor.

    r0 = Gather(x, 0); ...; r99 = Gather(x, 99)  →  p0, ..., p99 = Split(x); r0 = Squeeze(p0); ...

    Each Gather of another row would be another tensor program, and so would be all that is fused with it: of an
    unrolled loop each step would be compiled, and tuned, for itself.
    """
    rows = _rows(model)
    counts = Counter(row.source for row in rows.values())
    if not any(count >= _LEAST_ROWS for count in counts.values()):
        return model
    types = inferred_types(model)
    splits: dict[_Source, _Split] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        row = rows.get(name_of(node))
        size = _size(row, types) if row else None
        if row is None or size is None or not max(_LEAST_ROWS, size / 2) <= counts[row.source]:
            nodes.append(node)
            continue
        if row.source not in splits:
            splits[row.source] = _Split(name_of(node), row, size)
            nodes.append(splits[row.source].node)
        nodes.append(splits[row.source].squeezed(row.place, node))
    made = [tensor for split in splits.values() for tensor in split.weights]
    return rebuilt(model, nodes, made) if splits else model


@dataclass(frozen=True)
class _Row:
    """One row that is gathered; source: the tensor that it is of, and the axis."""

    source: _Source
    place: int


@dataclass(frozen=True)
class _Split:
    """The split of a tensor into its rows; scope: the name of the first node that reads one."""

    scope: str
    first: _Row
    size: int

    @property
    def node(self) -> onnx.NodeProto:
        """The Split."""
        name, axis = self.first.source
        sizes, _ = self.weights
        return helper.make_node("Split", [name, sizes.name], self._parts, f"{self.scope}/rows", axis=axis)

    @cached_property
    def weights(self) -> tuple[onnx.TensorProto, onnx.TensorProto]:
        """The sizes of the rows, and the axis that each row loses."""
        sizes, axes = np.ones(self.size, np.int64), np.array([self.first.source[1]])
        return (
            numpy_helper.from_array(sizes, f"{self.scope}/sizes"),
            numpy_helper.from_array(axes, f"{self.scope}/axes"),
        )

    @cached_property
    def _parts(self) -> list[str]:
        return [f"{self.scope}/row_{place}" for place in range(self.size)]

    def squeezed(self, place: int, node: onnx.NodeProto) -> onnx.NodeProto:
        """The Squeeze in place of a Gather of one row."""
        _, axes = self.weights
        return helper.make_node("Squeeze", [self._parts[place], axes.name], node.output, node.name)


def _rows(model: onnx.ModelProto) -> dict[str, _Row]:
    """The row that a node gathers, where that is one and constant, by the node's name."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        name_of(node): _Row(
            (node.input[0], int(attributes(node).get("axis", 0))),
            int(numpy_helper.to_array(weights[node.input[1]])),
        )
        for node in model.graph.node
        if is_operator(node, "Gather") and node.input[1] in weights and not weights[node.input[1]].dims
    }


def _size(row: _Row, types: Mapping[str, TensorType]) -> int | None:
    """The number of rows of the tensor that a row is of; None where it is not known, or there is no such row."""
    name, axis = row.source
    shape = static_shape_of(types, name)
    return shape[axis] if shape is not None and -shape[axis] <= row.place < shape[axis] else None
