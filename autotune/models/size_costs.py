"""Expected duration of a model at sizes of its dynamic axes, and bytes of its weights, from its graph (imports TVM)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from autotune.models import onnx_file
from autotune.models.dynamic_inputs import DynamicInputs, Sizes
from autotune.models.onnx_import import importable
from autotune.models.onnx_passes.pipeline import normalized
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types, type_of

# A middling core: only ratios between sizes count.
_FLOPS, _BYTES_PER_SEC, _CALL_SECS = 5e10, 1e10, 2e-6
_PRODUCTS = (
    "MatMul",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "FusedMatMul",
    "MatMulInteger",
    "QLinearConv",
    "ConvInteger",
)
# Machine code of a tuned product, of another operator, and of what changes layouts in between.
_PRODUCT_BYTES, _OTHER_BYTES, _LAYOUT_BYTES = 30_000, 10_000, 30_000


@dataclass(frozen=True)
class SizeCosts:
    """Seconds of one run as a product of one factor for each axis, a parabola through three sizes.

    largest_secs: at the largest sizes;
    factors:      for each axis its sizes, and the secs there relative to those of the largest;
    weight_bytes: of all weights; packed_bytes: of those that each variant may pack in its own way;
    code_bytes:   of the functions of one variant.
    """

    largest_secs: float
    factors: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]
    weight_bytes: int
    packed_bytes: int
    code_bytes: int

    def secs(self, sizes: Sizes) -> float:
        """The expected duration of one run."""
        found = self.largest_secs
        for size, (known, factors) in zip(sizes, self.factors, strict=True):
            found *= max(_interpolated(size, known, factors), 1e-3)
        return found

    def variants_within(self, max_bytes: int) -> int:
        """The number of variants whose library is no larger, at least 1."""
        spare = max_bytes - self.weight_bytes - self.code_bytes
        return 1 + max(spare // (self.packed_bytes + self.code_bytes), 0)


def read_size_costs(path: Path, inputs: DynamicInputs) -> SizeCosts:
    """Reads a file at its largest sizes, and at two more of each axis."""
    largest = _read(path, inputs, inputs.high)
    secs = _secs(largest)
    factors = []
    for number, axis in enumerate(inputs.axes):
        sizes = axis.sizes.sizes
        known = tuple(sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]}))
        others = [(*inputs.high[:number], size, *inputs.high[number + 1 :]) for size in known[:-1]]
        found = [_secs(_read(path, inputs, one)) / secs for one in others]
        factors.append((known, (*found, 1.0)))
    weights = {tensor.name: type_of(tensor).num_bytes or 0 for tensor in largest.graph.initializer}
    products = [node for node in largest.graph.node if node.op_type in _PRODUCTS]
    packed = {name for node in products for name in node.input if name in weights}
    return SizeCosts(
        secs,
        tuple(factors),
        sum(weights.values()),
        sum(weights[name] for name in packed),
        _code_bytes(largest),
    )


def _code_bytes(model: onnx.ModelProto) -> int:
    """The machine code of a model's functions, of equal ones once."""
    types = inferred_types(model)
    distinct = {
        (
            node.op_type,
            tuple(types.get(name) for name in (*node.input, *node.output)),
            tuple(one.SerializeToString(deterministic=True) for one in node.attribute),
        )
        for node in model.graph.node
    }
    sizes = (_PRODUCT_BYTES if name in _PRODUCTS else _OTHER_BYTES for name, *_ in distinct)
    return sum(sizes, _LAYOUT_BYTES)


def _read(path: Path, inputs: DynamicInputs, sizes: Sizes) -> onnx.ModelProto:
    """The model as it is imported: without what only computes shapes, so that all of these are known."""
    return normalized(onnx_file.read(path, inputs.shapes_at(sizes)), importable)


def _secs(model: onnx.ModelProto) -> float:
    types = inferred_types(model)
    return sum(_node_secs(node, types) for node in model.graph.node)


def _node_secs(node: onnx.NodeProto, types: Mapping[str, TensorType]) -> float:
    # A gather reads but some rows of its table; what others read, another node has made.
    moved = [*node.output, *(node.input if node.op_type in _PRODUCTS else ())]
    num_bytes = sum(types[name].num_bytes or 0 for name in moved if name in types)
    return _CALL_SECS + num_bytes / _BYTES_PER_SEC + _flops(node, types) / _FLOPS


def _flops(node: onnx.NodeProto, types: Mapping[str, TensorType]) -> float:
    shapes = [
        types[name].static_shape if name in types else None for name in (*node.input[:2], node.output[0])
    ]
    if node.op_type not in _PRODUCTS or len(shapes) < 3 or not all(shapes):
        return 0.0
    first, second, result = (shape or () for shape in shapes)
    if node.op_type == "ConvTranspose":
        return 2.0 * math.prod(first) * math.prod(second[1:])
    if "Conv" in node.op_type:
        return 2.0 * math.prod(result) * math.prod(second[1:])
    return 2.0 * math.prod(result) * (second[-2] if len(second) > 1 and node.op_type != "Gemm" else first[-1])


def _interpolated(size: int, known: tuple[int, ...], values: tuple[float, ...]) -> float:
    return float(np.polyval(np.polyfit(known, values, len(known) - 1), size))
