"""The rewrite of each operator, by its type; ONNX Runtime's own operators by domain and type."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

import onnx

from autotune.models.onnx_passes import (
    activations,
    attention,
    block_quantization,
    convolutions,
    cumulations,
    detection,
    einsums,
    elementwise,
    folding,
    fourier_transforms,
    fused_operators,
    gathering,
    matrices,
    normalizations,
    pooling,
    quantization,
    quantized_operators,
    recurrent_networks,
    reductions,
    resizing,
    shapes,
)
from autotune.models.onnx_passes.node import Rewrite
from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS

_FAMILIES = (
    activations,
    attention,
    block_quantization,
    convolutions,
    cumulations,
    detection,
    einsums,
    elementwise,
    folding,
    fourier_transforms,
    fused_operators,
    gathering,
    matrices,
    normalizations,
    pooling,
    quantization,
    quantized_operators,
    recurrent_networks,
    reductions,
    resizing,
    shapes,
)

# Operators that ONNX Runtime has under ONNX's names, with ONNX's meaning.
_SHARED = ("QuantizeLinear", "DequantizeLinear", "GridSample", "Trilu")

_REWRITES: Mapping[str, Rewrite] = ChainMap(*(family.REWRITES for family in _FAMILIES))


def rewrite_of(node: onnx.NodeProto) -> Rewrite | None:
    """The rewrite of a node's operator, None where it is kept."""
    if node.domain == "com.microsoft":
        own = _REWRITES.get(f"com.microsoft.{node.op_type}")
        return own or (_REWRITES.get(node.op_type) if node.op_type in _SHARED else None)
    return _REWRITES.get(node.op_type) if node.domain in DEFAULT_DOMAINS else None
