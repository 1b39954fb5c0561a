"""Steps from integers to numbers and back around nodes that compute the same on integers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autotune.models.onnx_passes.rewriting import (
    attributes,
    is_operator,
    name_of,
    names_read,
    rebuilt,
    reconnected,
)

# They move elements of their first input, or choose among them.
_MOVING = (
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
)
_BYTES = (np.int8, np.uint8)
# Of scales whose products with integers are normal numbers.
_LEAST_SCALE, _MOST_SCALE = 1e-30, 1e30


@dataclass(frozen=True, slots=True)
class _Form:
    """Scale, zero point and dtype of a quantized tensor; names: of the scale and the zero point, empty where absent."""

    scale: float
    zero: int
    dtype: np.dtype
    names: tuple[str, str] = field(compare=False)


def with_moved_quantization(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with pools, moves and concatenations of quantized tensors on their integers, which is as exact.

    | before | after |
    | --- | --- |
    | ``MaxPool(DequantizeLinear(x))`` | ``DequantizeLinear(MaxPool(x))`` |
    | ``QuantizeLinear(Transpose(DequantizeLinear(x)))`` | ``Transpose(x)`` |
    | ``QuantizeLinear(Concat(a, b))`` | ``Concat(QuantizeLinear(a), QuantizeLinear(b))`` |
    | ``QuantizeLinear(DequantizeLinear(x))`` | ``x`` |

    The second and the last where both have one scale and zero point. Only for 8-bit integers of one scale.
    """
    if not any(is_operator(node, "QuantizeLinear") for node in model.graph.node):
        return model
    rewriter = _Rewriter(model)
    nodes = [each for node in model.graph.node for each in rewriter.parts(node)]
    return rebuilt(model, nodes) if rewriter.is_changed else model


class _Rewriter:
    """Replaces nodes one by one, in their order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.is_changed = False
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._readers = _readers(model)
        # By the name of a dequantized tensor: the name of its integers, and their form.
        self._dequantized: dict[str, tuple[str, _Form]] = {}
        # By the name of a concatenation that only one QuantizeLinear reads.
        self._concatenations: dict[str, onnx.NodeProto] = {}

    def parts(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes in place of one."""
        found = self._moved(node)
        self.is_changed |= found is not None
        return [node] if found is None else found

    def _moved(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """The nodes in place of one that changes, None for any other."""
        if is_operator(node, "DequantizeLinear"):
            if node.input[0] not in self._constants and (form := self._form(node)) is not None:
                self._dequantized[node.output[0]] = node.input[0], form
        elif is_operator(node, "QuantizeLinear"):
            return self._quantized(node)
        elif is_operator(node, "Concat"):
            form = self._form_of_readers(node.output[0])
            if form is not None and len(self._readers[node.output[0]]) == 1:
                self._concatenations[node.output[0]] = node
                return []
        elif is_operator(node, "MaxPool", *_MOVING) and len(node.output) == 1:
            return self._on_integers(node)
        return None

    def _quantized(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A QuantizeLinear before the concatenation that it reads, or what was dequantized alike."""
        form, joined = self._form(node), self._concatenations.get(node.input[0])
        if joined is not None:
            quantizing = [_quantized_part(node, name, place) for place, name in enumerate(joined.input)]
            copy = reconnected(joined, [part.output[0] for part in quantizing], node.output)
            return [each for part in quantizing for each in self._quantized(part) or [part]] + [copy]
        source, own = self._dequantized.get(node.input[0], ("", None))
        if form is None or form != own:
            return None
        return [helper.make_node("Identity", [source], [node.output[0]], name=name_of(node))]

    def _on_integers(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A pool, or a move whose result is quantized alike, of integers, and what these stand for."""
        source, form = self._dequantized.get(node.input[0], ("", None))
        output = node.output[0]
        if form is None or (node.op_type != "MaxPool" and self._form_of_readers(output) != form):
            return None
        integers = f"{output}/integers"
        self._dequantized[output] = integers, form
        operands = [integers, *filter(None, form.names)]
        return [
            reconnected(node, [source, *node.input[1:]], [integers]),
            helper.make_node("DequantizeLinear", operands, [output], name=f"{name_of(node)}/real"),
        ]

    def _form_of_readers(self, name: str) -> _Form | None:
        """The form to which every reader of a tensor quantizes it, None where one does not."""
        forms = [
            self._form(node) if node is not None and is_operator(node, "QuantizeLinear") else None
            for node in self._readers.get(name, [None])
        ]
        return forms[0] if all(form == forms[0] for form in forms) else None

    def _form(self, node: onnx.NodeProto) -> _Form | None:
        """The form of a QuantizeLinear or DequantizeLinear, None where it is not one constant of 8 bits."""
        given = attributes(node)
        zero_name = node.input[2] if len(node.input) > 2 else ""
        scale, zero = _single(self._constants, node.input[1]), _single(self._constants, zero_name)
        if scale is None or (zero_name and zero is None) or given.get("block_size", 0):
            return None
        if not zero_name and given.get("output_dtype", 0) not in (0, TensorProto.UINT8):
            return None
        dtype = np.dtype(np.uint8) if zero is None else zero.dtype
        if scale.dtype != np.float32 or dtype not in _BYTES or not _LEAST_SCALE < float(scale) < _MOST_SCALE:
            return None
        return _Form(float(scale), 0 if zero is None else int(zero), dtype, (node.input[1], zero_name))


def _readers(model: onnx.ModelProto) -> Mapping[str, list[onnx.NodeProto | None]]:
    """The nodes that read each tensor, None for the model's outputs."""
    found: dict[str, list[onnx.NodeProto | None]] = defaultdict(list)
    for node in model.graph.node:
        for name in names_read(node):
            found[name].append(node)
    for value in model.graph.output:
        found[value.name].append(None)
    return found


def _single(constants: Mapping[str, TensorProto], name: str) -> np.generic | None:
    """The value of a constant of one element, None for any other."""
    tensor = constants.get(name)
    values = None if tensor is None else numpy_helper.to_array(tensor)
    return values.reshape(-1)[0] if values is not None and values.size == 1 else None


def _quantized_part(node: onnx.NodeProto, name: str, place: int) -> onnx.NodeProto:
    """The QuantizeLinear of one operand of the concatenation that a node reads."""
    part = reconnected(node, [name, *node.input[1:]], [f"{node.output[0]}/{place}"])
    part.name = f"{name_of(node)}/{place}"
    return part
