"""Constant folding: what depends on constants and static shapes alone, computed ahead of time."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.evaluation import Tensors, evaluated
from autotune.models.onnx_passes.rewriting import attributes, is_operator, names_read, rebuilt
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types, type_of

# A constant that is larger than this, and than what it is made of, stays computed at run time.
_MAX_GROWN_BYTES = 64 << 20
# The same for what only other constants are made of.
_MAX_PASSING_BYTES = 1 << 30
#: Another result on each run.
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
# Their results may be larger than their inputs: folded once the sizes are constants themselves.
_GROWING = {"Expand", "Tile", "ConstantOfShape", "Range", "Pad", "Resize", "Loop", "EyeLike", "OneHot"}
# Sequences and optionals are no initializers.
_CONTAINERS = {
    "Optional",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceMap",
}
_CONTAINERS |= {"SplitToSequence"}
_QUANTIZED = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT32)

Types = Mapping[str, TensorType]


def with_folded_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the nodes that read constants alone, and without questions for static shapes.

    Repeats until nothing is left to fold: a computed shape makes the shapes behind it static. Random operators,
    8-bit weights before their dequantization, and constants that would grow beyond 64 MB are left in the graph.
    """
    while True:
        types = inferred_types(model)
        shapes = _static_shapes(model, types)
        weights = {**{tensor.name: tensor for tensor in model.graph.initializer}, **shapes}
        positions = _foldable(model, weights, types)
        nodes = [model.graph.node[position] for position in positions]
        computed = evaluated(model, nodes, weights, _needed(model, positions))
        values = {**shapes, **computed}
        removed = {
            position
            for position, node in enumerate(model.graph.node)
            if any(name in values for name in node.output)
        }
        removed = _with_unneeded(model, positions, removed)
        if not removed:
            return model
        needed = _needed(model, removed)
        kept = [node for position, node in enumerate(model.graph.node) if position not in removed]
        model = rebuilt(model, kept, [values[name] for name in values if name in needed])


def _static_shapes(model: onnx.ModelProto, types: Types) -> dict[str, onnx.TensorProto]:
    """The results of `Shape` and `Size` of tensors whose shape is known."""
    found = {}
    for node in model.graph.node:
        known = types.get(node.input[0]) if is_operator(node, "Shape", "Size") else None
        if known is None or known.static_shape is None:
            continue
        given = attributes(node)
        sizes = np.array(known.static_shape, np.int64)[given.get("start", 0) : given.get("end")]
        value = sizes if node.op_type == "Shape" else np.array(np.prod(sizes, dtype=np.int64))
        found[node.output[0]] = numpy_helper.from_array(value, node.output[0])
    return found


def _foldable(model: onnx.ModelProto, weights: Tensors, types: Types) -> list[int]:
    """The positions of the nodes whose results can become constants now."""
    refused: set[int] = set()
    while True:
        constant = set(weights)
        chosen = []
        for position, node in enumerate(model.graph.node):
            if position not in refused and _is_constant(node, constant, weights):
                chosen.append(position)
                constant.update(node.output)
        needed = _needed(model, chosen)
        unfit = {
            position for position in chosen if not _fits(model.graph.node[position], weights, types, needed)
        }
        if not unfit:
            return chosen
        refused |= unfit


def _is_constant(node: onnx.NodeProto, constant: Collection[str], weights: Tensors) -> bool:
    """Whether a node depends on constants alone, and is none of those that are better left in the graph."""
    if node.op_type in RANDOM or any(name in weights for name in node.output):
        return False
    if node.op_type == "DequantizeLinear":
        stored = weights.get(node.input[0])
        if stored is None or (stored.data_type in _QUANTIZED and not attributes(node).get("block_size")):
            return False
    reads = list(names_read(node))
    return all(name in (weights if node.op_type in _GROWING else constant) for name in reads)


def _fits(node: onnx.NodeProto, weights: Tensors, types: Types, needed: Collection[str]) -> bool:
    """Whether the results of a node can be initializers, or on the way to one."""
    is_kept = any(name in needed for name in node.output)
    if node.op_type in _CONTAINERS and is_kept:
        return False
    largest = _MAX_GROWN_BYTES if is_kept else _MAX_PASSING_BYTES
    made_of = sum(type_of(weights[name]).num_bytes or 0 for name in names_read(node) if name in weights)
    sizes = [types[name].num_bytes or 0 for name in node.output if name in types]
    return all(size <= max(largest, made_of) for size in sizes)


def _needed(model: onnx.ModelProto, folded: Collection[int]) -> set[str]:
    """The names that the graph reads, without the nodes at these positions."""
    folded = set(folded)
    needed = {value.name for value in model.graph.output}
    for position, node in enumerate(model.graph.node):
        if position not in folded:
            needed.update(names_read(node))
    return needed


def _with_unneeded(model: onnx.ModelProto, folded: Collection[int], removed: set[int]) -> set[int]:
    """The removed positions, and those of nodes that only removed nodes read."""
    removed = set(removed)
    needed = _needed(model, removed)
    for position in sorted(folded, reverse=True):
        node = model.graph.node[position]
        if position not in removed and not any(name in needed for name in node.output):
            removed.add(position)
        elif position not in removed:
            needed.update(names_read(node))
    return removed
