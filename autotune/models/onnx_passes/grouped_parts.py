"""Concatenations and splits of very many parts, group by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, name_of, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types, static_shape_of

# Each part is a buffer of the kernel: LLVM takes half a minute for a function of 256, a second for one of 32.
_AT_MOST = 32

_Item = TypeVar("_Item")


def with_grouped_parts(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with Concat and Split of at most 32 parts; the sizes of a Split's parts must be known.

    x = Concat(a0, ..., a99)  →  b0 = Concat(a0, ..., a24); ...; b3 = Concat(a75, ..., a99); x = Concat(b0, ..., b3)
    """
    if not any(_is_long(node) for node in model.graph.node):
        return model
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    for node in model.graph.node:
        axis = attributes(node).get("axis", 0)
        if not _is_long(node):
            nodes.append(node)
        elif node.op_type == "Concat":
            nodes += _joined(list(node.input), node.output[0], name_of(node), axis)
        else:
            shapes = [static_shape_of(types, name) for name in node.output]
            sizes = [shape[axis] for shape in shapes if shape is not None]
            if len(sizes) < len(shapes):
                nodes.append(node)
                continue
            parts = list(zip(node.output, sizes, strict=True))
            for split, lengths in _cut(node.input[0], parts, name_of(node), axis):
                nodes.append(split)
                weights.append(lengths)
    return rebuilt(model, nodes, weights)


def _is_long(node: onnx.NodeProto) -> bool:
    parts = {"Concat": node.input, "Split": node.output}
    return is_operator(node, *parts) and len(parts[node.op_type]) > _AT_MOST


def _joined(names: list[str], result: str, scope: str, axis: int) -> Iterator[onnx.NodeProto]:
    """The concatenations of these tensors into the result."""
    groups = _groups(names)
    if len(groups) > 1:
        whole = [f"{scope}/{len(names)}_joined_{place}" for place in range(len(groups))]
        for group, name in zip(groups, whole, strict=True):
            yield from _joined(list(group), name, scope, axis)
        yield from _joined(whole, result, scope, axis)
    else:
        yield helper.make_node("Concat", names, [result], f"{scope}/{result}", axis=axis)


def _cut(
    source: str, parts: list[tuple[str, int]], scope: str, axis: int
) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """The splits of a tensor into parts of these names and sizes, each with its constant sizes."""
    groups = _groups(parts)
    if len(groups) > 1:
        whole = [
            (f"{scope}/{len(parts)}_cut_{place}", sum(size for _, size in group))
            for place, group in enumerate(groups)
        ]
        yield from _cut(source, whole, scope, axis)
        for (name, _), group in zip(whole, groups, strict=True):
            yield from _cut(name, list(group), scope, axis)
    else:
        names, sizes = zip(*parts, strict=True)
        lengths = numpy_helper.from_array(np.array(sizes, np.int64), f"{scope}/{source}_sizes")
        yield (
            helper.make_node("Split", [source, lengths.name], names, f"{scope}/{source}", axis=axis),
            lengths,
        )


def _groups(items: Sequence[_Item]) -> list[Sequence[_Item]]:
    """The items in groups of at most `_AT_MOST`, whose sizes differ by one at most."""
    count = -(-len(items) // _AT_MOST)
    return [
        items[start:end] for start, end in pairwise(len(items) * place // count for place in range(count + 1))
    ]
