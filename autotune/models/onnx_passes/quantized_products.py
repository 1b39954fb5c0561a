"""Products of dequantized data and dequantized weights, as products of their integers that are scaled afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, rebuilt
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types

Array = npt.NDArray[Any]

_BYTES = (TensorProto.INT8, TensorProto.UINT8)
_PLAIN_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0}


def with_integer_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with convolutions and products of dequantized operands in whole numbers, which are exact.

    ``Conv(DequantizeLinear(x, sx, zx), DequantizeLinear(w, sw, zw), b)`` → ``Conv(x - zx, w - zw) · (sx · sw) + b``,
    in float32; MatMul and Gemm likewise. Only for 8-bit integers, weights that are constant, one scale for the data
    and one for the weights or for each of their output channels.
    """
    if not any(is_operator(node, "DequantizeLinear") for node in model.graph.node):
        return model
    rewriter = _Rewriter(
        {tensor.name: tensor for tensor in model.graph.initializer},
        {node.output[0]: node for node in model.graph.node if is_operator(node, "DequantizeLinear")},
        inferred_types(model),
    )
    nodes = [each for node in model.graph.node for each in rewriter.parts(node) or [node]]
    return rebuilt(model, nodes, rewriter.added) if rewriter.added else model


@dataclass
class _Rewriter:
    """Replaces nodes one by one; added: the constants of the new ones; _centred: the data less its zero point, by the
    name of what it was dequantized to."""

    constants: Mapping[str, TensorProto]
    dequantized: Mapping[str, onnx.NodeProto]
    types: Mapping[str, TensorType]
    added: list[TensorProto] = field(default_factory=list)
    _centred: dict[str, str] = field(default_factory=dict)

    def parts(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """The nodes in place of a product of dequantized operands; None for any other node."""
        if not is_operator(node, "Conv", "MatMul", "Gemm") or len(node.input) < 2:
            return None
        given = attributes(node)
        if node.op_type == "Gemm" and any(
            given.get(name, value) != value for name, value in _PLAIN_GEMM.items()
        ):
            return None
        data = self._data(node.input[0])
        weights = self._weights(node.input[1], _channel_axis(node))
        if data is None or weights is None:
            return None
        source, data_scale, zero = data
        kernel, scales = weights
        if node.op_type == "Gemm" and given.get("transB", 0):
            kernel = kernel.T
        name = node.output[0]
        nodes = self._centring(node.input[0], source, zero)
        operands = [self._centred[node.input[0]], self._constant(f"{name}/integers", kernel)]
        kept = {} if node.op_type == "Gemm" else given
        operator = "Conv" if node.op_type == "Conv" else "MatMul"
        product, whole, real = (f"{name}/{part}" for part in ("product", "whole", "real"))
        nodes.append(helper.make_node(operator, operands, [product], name=product, **kept))
        # Not to be scaled by the weights, which are whole numbers.
        nodes.append(helper.make_node("Cast", [product], [whole], name=whole, to=TensorProto.INT32))
        nodes.append(helper.make_node("Cast", [whole], [real], name=real, to=TensorProto.FLOAT))
        by_channel = [-1, *[1] * (kernel.ndim - 2)] if node.op_type == "Conv" else [-1]
        factor = self._constant(f"{name}/scale", (data_scale * scales).reshape(by_channel))
        bias = node.input[2] if len(node.input) > 2 else ""
        scaled = f"{name}/scaled" if bias else name
        nodes.append(helper.make_node("Mul", [real, factor], [scaled], name=node.name or name))
        return nodes + self._biased(scaled, bias, name, by_channel) if bias else nodes

    def _biased(self, scaled: str, bias: str, name: str, shape: list[int]) -> list[onnx.NodeProto]:
        if len(shape) == 1:
            return [helper.make_node("Add", [scaled, bias], [name], name=f"{name}/bias")]
        sizes = self._constant(f"{name}/bias_shape", np.array(shape, np.int64))
        return [
            helper.make_node("Reshape", [bias, sizes], [f"{name}/bias"], name=f"{name}/bias_shape"),
            helper.make_node("Add", [scaled, f"{name}/bias"], [name], name=f"{name}/bias"),
        ]

    def _data(self, name: str) -> tuple[str, Array, Array] | None:
        """The integers that data is dequantized from, by their name, and their one scale and zero point."""
        node = self.dequantized.get(name)
        if node is None or node.input[0] in self.constants:
            return None
        known = self.types.get(node.input[0])
        scale, zero = self._scale(node)
        if known is None or known.elem_type not in _BYTES:
            return None
        return (node.input[0], scale, zero) if scale is not None and scale.size == zero.size == 1 else None

    def _weights(self, name: str, axis: int) -> tuple[Array, Array] | None:
        """The integers of dequantized weights less their zero points, and the scales of their output channels."""
        node = self.dequantized.get(name)
        tensor = self.constants.get(node.input[0]) if node is not None else None
        if node is None or tensor is None or tensor.data_type not in _BYTES:
            return None
        values = numpy_helper.to_array(tensor)
        scale, zero = self._scale(node)
        if scale is None or values.ndim < 2 or attributes(node).get("block_size", 0):
            return None
        if (
            max(scale.size, zero.size) > 1
            and attributes(node).get("axis", 1) % values.ndim != axis % values.ndim
        ):
            return None
        shape = [1] * values.ndim
        shape[axis] = -1
        return values.astype(np.float32) - zero.astype(np.float32).reshape(shape), scale.reshape(-1)

    def _scale(self, node: onnx.NodeProto) -> tuple[Array | None, Array]:
        """The constant scale in float32 and zero point of a node, None for another scale."""
        scale = self.constants.get(node.input[1])
        named = node.input[2] if len(node.input) > 2 else ""
        zero = self.constants.get(named)
        if scale is None or scale.data_type != TensorProto.FLOAT or (named and zero is None):
            return None, np.zeros(1)
        return numpy_helper.to_array(scale), np.zeros(1) if zero is None else numpy_helper.to_array(zero)

    def _centring(self, name: str, source: str, zero: Array) -> list[onnx.NodeProto]:
        """The nodes that compute integers less their zero point, where they are not there yet."""
        if name in self._centred:
            return []
        wide = f"{name}/wide"
        nodes = [helper.make_node("Cast", [source], [wide], name=wide, to=TensorProto.FLOAT)]
        self._centred[name] = wide
        if zero.any():
            centred = self._centred[name] = f"{name}/centred"
            subtrahend = self._constant(f"{name}/zero", zero.astype(np.float32).reshape(()))
            nodes.append(helper.make_node("Sub", [wide, subtrahend], [centred], name=centred))
        return nodes

    def _constant(self, name: str, values: Array) -> str:
        self.added.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _channel_axis(node: onnx.NodeProto) -> int:
    """The axis of a node's weights along which its output channels lie."""
    return 0 if node.op_type == "Conv" or attributes(node).get("transB", 0) else -1
