"""Weights of quantized operators without a sign, for references: ONNX Runtime multiplies those exactly everywhere.

On x86 processors without VNNI it adds two products of an unsigned and a signed byte in 16 bits, which saturate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types

_SIGN_BIT = np.uint8(0x80)
_UINT8 = TensorType(TensorProto.UINT8, None)
_UNKNOWN = TensorType(TensorProto.UNDEFINED, None)


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
    if not any(map(_operands, model.graph.node)):
        return model
    unsigned = onnx.ModelProto()
    unsigned.CopyFrom(model)
    types = inferred_types(model)
    weights = {tensor.name: tensor for tensor in unsigned.graph.initializer}
    for node in unsigned.graph.node:
        operands = _operands(node)
        if operands is not None and _is_signed_by_unsigned(node, operands, types, weights):
            _replace(unsigned.graph, node, operands, weights)
    return unsigned


def _operands(node: onnx.NodeProto) -> _Operands | None:
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    return _OPERANDS.get((domain, node.op_type))


def _is_signed_by_unsigned(
    node: onnx.NodeProto,
    operands: _Operands,
    types: dict[str, TensorType],
    weights: dict[str, onnx.TensorProto],
) -> bool:
    weight, zero = _named(node, operands.weight), _named(node, operands.zero)
    data = _UINT8 if operands.data is None else types.get(node.input[operands.data], _UNKNOWN)
    return (
        data.elem_type == TensorProto.UINT8
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
