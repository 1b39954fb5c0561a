"""Convolutions with the batch norms, scales and shifts behind them folded into their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.rewriting import attributes, is_operator, rebuilt, reconnected, sole_readers

Array = npt.NDArray[Any]
Tensors = Mapping[str, onnx.TensorProto]

_FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)


@dataclass(frozen=True)
class _Convolution:
    """A convolution with constant weights; kernel and bias in double precision, output the name of its result."""

    node: onnx.NodeProto
    kernel: Array
    bias: Array
    output: str
    dtype: np.dtype[Any]

    def scaled(self, scale_and_shift: tuple[Array, Array], output: str) -> _Convolution | None:
        """The convolution followed by · scale + shift for each channel; None where a weight would overflow."""
        scale, shift = scale_and_shift
        if self.node.op_type == "Conv":
            kernel = self.kernel * scale.reshape(-1, *[1] * (self.kernel.ndim - 1))
        else:
            # [in channels, out channels of a group, ...]: the input channels of a group lie together.
            groups = self.bias.size // self.kernel.shape[1]
            by_group = self.kernel.reshape(groups, -1, *self.kernel.shape[1:])
            factors = scale.reshape(groups, 1, -1, *[1] * (self.kernel.ndim - 2))
            kernel = (by_group * factors).reshape(self.kernel.shape)
        bias = self.bias * scale + shift
        with np.errstate(over="ignore", invalid="ignore"):
            is_finite = all(np.isfinite(part.astype(self.dtype)).all() for part in (kernel, bias))
        return replace(self, kernel=kernel, bias=bias, output=output) if is_finite else None

    def parts(self) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
        """The node, and its weights where something was folded into them."""
        if self.output == self.node.output[0]:
            return self.node, []
        names = [f"{self.node.name or self.output}/{part}" for part in ("kernel", "bias")]
        node = reconnected(self.node, [self.node.input[0], *names], [self.output])
        values = (self.kernel.astype(self.dtype), self.bias.astype(self.dtype))
        return node, [numpy_helper.from_array(value, name) for value, name in zip(values, names, strict=True)]


def with_absorbed_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each constant scale and shift of a convolution's channels in the convolution's weights.

    Computed in double precision and rounded once. One pass over memory less at run time for each batch norm.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = sole_readers(model)
    nodes: list[onnx.NodeProto | _Convolution] = []
    places: dict[str, int] = {}
    for node in model.graph.node:
        convolution = _convolution(node, weights)
        place = next((places[name] for name in node.input if name in places), None)
        if convolution is not None:
            places[convolution.output] = len(nodes)
            nodes.append(convolution)
            continue
        before = nodes[place] if place is not None else None
        absorbed = None
        if isinstance(before, _Convolution) and readers.get(before.output) is node:
            absorbed = _with(before, node, weights)
        if absorbed is None or place is None:
            nodes.append(node)
        else:
            nodes[place] = absorbed
            places[absorbed.output] = place
    parts = [node.parts() if isinstance(node, _Convolution) else (node, []) for node in nodes]
    if len(nodes) == len(model.graph.node):
        return model
    return rebuilt(model, (node for node, _ in parts), (tensor for _, made in parts for tensor in made))


def _convolution(node: onnx.NodeProto, weights: Tensors) -> _Convolution | None:
    if not is_operator(node, "Conv", "ConvTranspose") or not all(
        name in weights for name in node.input[1:] if name
    ):
        return None
    kernel = numpy_helper.to_array(weights[node.input[1]])
    if weights[node.input[1]].data_type not in _FLOATS:
        return None
    groups = attributes(node).get("group", 1)
    channels = kernel.shape[0] if node.op_type == "Conv" else kernel.shape[1] * groups
    has_bias = len(node.input) > 2 and bool(node.input[2])
    bias = numpy_helper.to_array(weights[node.input[2]]) if has_bias else np.zeros(channels)
    return _Convolution(
        node, kernel.astype(np.float64), bias.astype(np.float64), node.output[0], kernel.dtype
    )


def _with(convolution: _Convolution, node: onnx.NodeProto, weights: Tensors) -> _Convolution | None:
    """The convolution with the node behind it folded in, where that is a scale or a shift of its channels."""
    channels, ones = convolution.bias.size, np.ones(convolution.bias.size)
    if is_operator(node, "BatchNormalization") and node.input[0] == convolution.output:
        affine = affine_batch_norm(node, weights)
        return convolution.scaled(affine, node.output[0]) if affine else None
    if not is_operator(node, "Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    left, right = node.input
    factor = _by_channel(
        weights.get(right if left == convolution.output else left), channels, convolution.kernel.ndim
    )
    if factor is None or left == right:
        return None
    if node.op_type in ("Add", "Mul"):
        pair = (ones, factor) if node.op_type == "Add" else (factor, 0 * ones)
    elif left != convolution.output or (node.op_type == "Div" and not factor.all()):
        return None
    else:
        pair = (ones, -factor) if node.op_type == "Sub" else (1 / factor, 0 * ones)
    return convolution.scaled(pair, node.output[0])


def _by_channel(tensor: onnx.TensorProto | None, channels: int, rank: int) -> Array | None:
    """A constant as one number a channel, where it is the same everywhere else and adds no dimension."""
    if tensor is None or len(tensor.dims) > rank:
        return None
    shape = [1] * (rank - len(tensor.dims)) + list(tensor.dims)
    if shape[0] != 1 or shape[1] not in (1, channels) or any(size != 1 for size in shape[2:]):
        return None
    return np.broadcast_to(numpy_helper.to_array(tensor).astype(np.float64).reshape(-1), (channels,))


def affine_batch_norm(node: onnx.NodeProto, weights: Tensors) -> tuple[Array, Array] | None:
    """Scale and shift for each channel, in double precision, of a batch norm with constant statistics.

    None in training mode, with running statistics as outputs, and where a statistic is computed.
    """
    given = attributes(node)
    is_inference = (
        not given.get("training_mode") and sum(map(bool, node.output)) == 1 and given.get("spatial", 1)
    )
    if not is_inference or not all(name in weights for name in node.input[1:5]):
        return None
    gamma, beta, mean, variance = (
        numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5]
    )
    scale = gamma / np.sqrt(variance + given.get("epsilon", 1e-5))
    return scale, beta - mean * scale
