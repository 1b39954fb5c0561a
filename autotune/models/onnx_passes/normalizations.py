"""Normalizations with all their outputs; statistics of half floats in float32."""

from __future__ import annotations

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor
from autotune.models.onnx_passes.tensor_types import is_float_dtype

_FIRST_TRAINING_MODE = 14


def batch_normalization(node: Node) -> Outputs:
    """BatchNormalization; in training mode by the statistics of the batch, with the running ones as outputs."""
    x, scale, bias, mean, variance = (node[place] for place in range(5))
    epsilon = node.attribute("epsilon", 1e-5)
    if node.attribute("spatial", 1) == 0 and x.rank > 2:
        return [_affine(x, mean, variance, (scale, bias, epsilon), (1, *x.shape[1:]))]
    if not _is_training(node):
        if any(node.has_output(place) for place in range(1, 5)):
            return [_affine(x, mean, variance, (scale, bias, epsilon)), mean, variance, mean, variance]
        is_of_one_type = x.dtype == scale.dtype == mean.dtype
        if is_of_one_type and is_float_dtype(x.dtype) and x.dtype != np.float64:
            inputs = [x, scale, bias, mean, variance]
            return None if node.opset >= 9 else node.again(*inputs, epsilon=epsilon)
        return [_affine(x, mean, variance, (scale, bias, epsilon))]
    axes = [axis for axis in range(x.rank) if axis != 1]
    wide = _widened(x)
    found_mean = wide.mean(axes)
    spread = wide - found_mean
    found_variance = (spread * spread).mean(axes)
    y = _affine(x, found_mean.reshape(-1), found_variance.reshape(-1), (scale, bias, epsilon))
    momentum = node.attribute("momentum", 0.9)
    running = [
        (old * momentum + new.reshape(-1).cast(old.dtype) * (1 - momentum)).cast(old.dtype)
        for old, new in ((mean, found_mean), (variance, found_variance))
    ]
    saved = [found_mean.reshape(-1).cast(mean.dtype), found_variance.reshape(-1).cast(variance.dtype)]
    return [y, *running, *saved][: len(node.proto.output)]


def _is_training(node: Node) -> bool:
    if node.opset >= _FIRST_TRAINING_MODE:
        return bool(node.attribute("training_mode", 0))
    return node.has_output(1)


def _affine(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    form: tuple[Tensor, Tensor, float],
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias along the channels."""
    scale, bias, epsilon = form
    view = shape or (1, -1, *[1] * (x.rank - 2))
    wide = _widened(x)
    mean, variance, scale, bias = (
        each.cast(wide.dtype).reshape(*view) for each in (mean, variance, scale, bias)
    )
    factor = scale / (variance + epsilon).unary("Sqrt")
    return ((wide - mean) * factor + bias).cast(x.dtype)


def layer_normalization(node: Node) -> Outputs:
    """LayerNormalization with the mean and the inverse deviation as outputs."""
    x, scale, bias = node[0], node[1], node.get(2)
    axis = node.attribute("axis", -1) % x.rank
    is_float = x.dtype == scale.dtype and is_float_dtype(x.dtype) and x.dtype != np.float64
    has_statistics = any(node.has_output(place) for place in (1, 2))
    is_whole = scale.shape == x.shape[axis:] and (bias is None or bias.shape == x.shape[axis:])
    if is_float and is_whole and not has_statistics and node.proto.domain == "" and bias is not None:
        return None
    wide = _widened(x)
    axes = list(range(axis, x.rank))
    mean = wide.mean(axes)
    spread = wide - mean
    inverse = 1 / ((spread * spread).mean(axes) + node.attribute("epsilon", 1e-5)).unary("Sqrt")
    y = (spread * inverse).cast(x.dtype) * scale
    if bias is not None:
        y = y + bias
    return [y.cast(x.dtype), mean, inverse][: len(node.proto.output)]


def rms_normalization(node: Node) -> Outputs:
    """RMSNormalization, and SimplifiedLayerNormalization with the inverse deviation as an output."""
    x, scale = node[0], node[1]
    y, inverse = _rms(x, scale, node.attribute("axis", -1), node.attribute("epsilon", 1e-5))
    return [y, inverse][: len(node.proto.output)]


def _rms(x: Tensor, scale: Tensor, axis: int, epsilon: float) -> tuple[Tensor, Tensor]:
    wide = _widened(x)
    inverse = 1 / ((wide * wide).mean(range(axis % x.rank, x.rank)) + epsilon).unary("Sqrt")
    return (wide * inverse).cast(scale.dtype) * scale, inverse


def skip_normalization(node: Node) -> Outputs:
    """SkipLayerNormalization and SkipSimplifiedLayerNormalization of ONNX Runtime, with the sum as an output."""
    x, skip, gamma = node[0], node[1], node[2]
    is_simplified = "Simplified" in node.operator
    beta, bias = (None, node.get(3)) if is_simplified else (node.get(3), node.get(4))
    total = x + skip if bias is None else x + skip + bias
    epsilon = node.attribute("epsilon", 1e-12 if not is_simplified else 1e-5)
    if is_simplified:
        y, inverse = _rms(total, gamma, -1, epsilon)
        mean = None
    else:
        wide = _widened(total)
        mean = wide.mean([-1])
        spread = wide - mean
        inverse = 1 / ((spread * spread).mean([-1]) + epsilon).unary("Sqrt")
        y = (spread * inverse).cast(x.dtype) * gamma
        y = y if beta is None else y + beta
    return [y, mean, inverse, total][: len(node.proto.output)]


def group_normalization(node: Node) -> Outputs:
    """GroupNormalization, by means of channels; before operator set 21 with a scale for each group.

    No axis of the image is reshaped, so that it may have its channels last.
    """
    x, scale, bias = node[0], node[1], node[2]
    groups = node.attribute("num_groups")
    wide = _widened(x)
    spread = wide - _group_means(wide, groups)
    inverse = 1 / (_group_means(spread * spread, groups) + node.attribute("epsilon", 1e-5)).unary("Sqrt")
    scale, bias = (_of_channels(each.cast(wide.dtype), x) for each in (scale, bias))
    return [(spread * (inverse * scale) + bias).cast(x.dtype)]


def _group_means(x: Tensor, groups: int) -> Tensor:
    """The mean of each channel's group in an image (N, C, ...), as (N, C, 1, ...), or (N, 1, 1, ...) of one group.

    They are repeated before the mean is taken: after it, the repetition would become part of all that reads them.
    """
    batch, channels, *space = x.shape
    means = (x.mean(range(2, x.rank)) if space else x).reshape(batch, groups, 1, -1)
    size = 1 if groups == 1 else channels // groups
    repeated = x.graph.add("Expand", means, x.graph.integers([batch, groups, size, channels // groups]))
    return repeated.mean([3]).reshape(batch, groups * size, *[1] * len(space))


def _of_channels(values: Tensor, x: Tensor) -> Tensor:
    """Values of channels or of groups as those of each channel of an image, (1, C, 1, ...)."""
    channels, (count,) = x.shape[1], values.shape
    repeats = x.graph.integers([count, channels // count])
    return x.graph.add("Expand", values.reshape(-1, 1), repeats).reshape(1, -1, *[1] * (x.rank - 2))


def instance_normalization(node: Node) -> Outputs:
    """InstanceNormalization; kept for float32."""
    x, scale, bias = node[0], node[1], node[2]
    epsilon = node.attribute("epsilon", 1e-5)
    if x.dtype == np.float32 and x.rank == 4:
        return None
    wide, axes, view = _widened(x), range(2, x.rank), (1, -1, *[1] * (x.rank - 2))
    spread = wide - wide.mean(axes)
    normal = spread / ((spread * spread).mean(axes) + epsilon).unary("Sqrt")
    scale, bias = scale.cast(wide.dtype).reshape(*view), bias.cast(wide.dtype).reshape(*view)
    return [(normal * scale + bias).cast(x.dtype)]


def mean_variance_normalization(node: Node) -> Outputs:
    """MeanVarianceNormalization: the deviation gets 1e-9 added."""
    x = node[0]
    axes = node.attribute("axes") or [0, 2, 3]
    wide = _widened(x)
    mean = wide.mean(axes)
    variance = (wide * wide).mean(axes) - mean * mean
    return [((wide - mean) / (variance.unary("Sqrt") + 1e-9)).cast(x.dtype)]


def local_response_normalization(node: Node) -> Outputs:
    """LRN: a window of channels, of one more behind than before where its size is even.

    The window is that of a pool over channels as the last axis of an image, where they lie when convolutions read them.
    """
    x, size = node[0], int(node.attribute("size"))
    wide = _widened(x)
    *outer, channels = (0, *range(2, x.rank), 1)
    turned = (wide * wide).transpose(*outer, channels)
    before = (size - 1) // 2
    mean = x.graph.add(
        "AveragePool",
        turned.reshape(1, 1, -1, x.shape[1]),
        kernel_shape=[1, size],
        pads=[0, before, 0, size - 1 - before],
        count_include_pad=1,
    ).reshape(*turned.shape)
    scale = mean * node.attribute("alpha", 1e-4) + node.attribute("bias", 1.0)
    back = (0, x.rank - 1, *range(1, x.rank - 1))
    return [(wide * _inverse_power(scale, node.attribute("beta", 0.75)).transpose(*back)).cast(x.dtype)]


def _inverse_power(x: Tensor, power: float) -> Tensor:
    """x to the negative power, by roots where it is the usual one: a call for each element takes many times as long."""
    if power == 0.75:
        return x.unary("Sqrt").unary("Sqrt") / x
    return 1 / (x.unary("Sqrt") if power == 0.5 else x.binary("Pow", power))


def lp_normalization(node: Node) -> Outputs:
    """LpNormalization by the 1-norm or the 2-norm; zeros stay zeros."""
    x, axis = node[0], node.attribute("axis", -1)
    wide = _widened(x)
    norm = (
        wide.unary("Abs").sum([axis])
        if node.attribute("p", 2) == 1
        else (wide * wide).sum([axis]).unary("Sqrt")
    )
    safe = x.graph.add("Where", norm.equals(0), norm.operand(1), norm)
    return [(wide / safe).cast(x.dtype)]


def _widened(x: Tensor) -> Tensor:
    return x.cast(np.float32) if x.dtype.itemsize < 4 else x


REWRITES: dict[str, Rewrite] = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "SimplifiedLayerNormalization": rms_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LRN": local_response_normalization,
    "LpNormalization": lp_normalization,
    "com.microsoft.SkipLayerNormalization": skip_normalization,
    "com.microsoft.SkipSimplifiedLayerNormalization": skip_normalization,
}
