"""Weights of quantized operators without a sign, for references: ONNX Runtime multiplies those exactly everywhere.

On x86 processors without VNNI it adds two products of an unsigned and a signed byte in 16 bits, which saturate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS

_SIGN_BIT = np.uint8(0x80)
_UNKNOWN = TensorProto.UNDEFINED


@dataclass(frozen=True, slots=True)
class _Operands:
    """Places of a quantized operator's inputs; data: None where the operator quantizes it itself, without a sign."""

    data: int | None
    weight: int
    zero: int


_MICROSOFT = "com.microsoft"
_OPERANDS = {
    ("", "ConvInteger"): _Operands(0, 1, 3),
    ("", "MatMulInteger"): _Operands(0, 1, 3),
    ("", "QLinearConv"): _Operands(0, 3, 5),
    ("", "QLinearMatMul"): _Operands(0, 3, 5),
    (_MICROSOFT, "DynamicQuantizeMatMul"): _Operands(None, 1, 3),
    (_MICROSOFT, "MatMulIntegerToFloat"): _Operands(0, 1, 5),
    (_MICROSOFT, "QAttention"): _Operands(0, 1, 7),
    (_MICROSOFT, "QGemm"): _Operands(0, 3, 5),
}


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with constant int8 weights of unsigned data as uint8 in its main graph; it computes the same.

    ``MatMulInteger(a, b)`` → ``MatMulInteger(a, b + 128, zero point of a, zero point of b + 128)``
    """
    nodes = [node for node in model.graph.node if _operands(node) is not None]
    if not nodes:
        return model
    unsigned = onnx.ModelProto()
    unsigned.CopyFrom(model)
    kinds = _element_types(unsigned)
    weights = {tensor.name: tensor for tensor in unsigned.graph.initializer}
    for node in unsigned.graph.node:
        operands = _operands(node)
        if operands is not None and _is_signed_by_unsigned(node, operands, kinds, weights):
            _replace(unsigned.graph, node, operands, weights)
    return unsigned


def _operands(node: onnx.NodeProto) -> _Operands | None:
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    return _OPERANDS.get((domain, node.op_type))


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of each tensor that ONNX's inference knows, by name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _is_signed_by_unsigned(
    node: onnx.NodeProto,
    operands: _Operands,
    kinds: dict[str, int],
    weights: dict[str, onnx.TensorProto],
) -> bool:
    weight, zero = _named(node, operands.weight), _named(node, operands.zero)
    data = TensorProto.UINT8 if operands.data is None else kinds.get(node.input[operands.data], _UNKNOWN)
    return (
        data == TensorProto.UINT8
        and weight in weights
        and weights[weight].data_type == TensorProto.INT8
        and (not zero or zero in weights)
    )


def _named(node: onnx.NodeProto, place: int) -> str:
    return str(node.input[place]) if place < len(node.input) else ""


def _replace(
    graph: onnx.GraphProto, node: onnx.NodeProto, operands: _Operands, weights: dict[str, onnx.TensorProto]
) -> None:
    """Lets the node read copies of its weight and of its zero point that are larger by 128."""
    node.input.extend([""] * (operands.zero + 1 - len(node.input)))
    for place in (operands.weight, operands.zero):
        name = node.input[place]
        value = numpy_helper.to_array(weights[name]) if name else np.zeros((), np.int8)
        copy = f"{name or node.output[0]}/unsigned"
        if copy not in weights:
            # In two's complement the sign bit turned over is 128 added.
            weights[copy] = numpy_helper.from_array(value.view(np.uint8) ^ _SIGN_BIT, copy)
            graph.initializer.append(weights[copy])
        node.input[place] = copy
