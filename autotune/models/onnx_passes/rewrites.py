"""The rewrite of each operator, by its type; ONNX Runtime's own operators by domain and type."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from autotune.models.onnx_passes import (
    activations,
    convolutions,
    cumulations,
    detection,
    elementwise,
    normalizations,
    pooling,
    quantization,
    recurrent_networks,
    reductions,
    resizing,
    shapes,
)
from autotune.models.onnx_passes.node import Rewrite

_FAMILIES = (
    activations,
    convolutions,
    cumulations,
    detection,
    elementwise,
    normalizations,
    pooling,
    quantization,
    recurrent_networks,
    reductions,
    resizing,
    shapes,
)

REWRITES: Mapping[str, Rewrite] = ChainMap(*(family.REWRITES for family in _FAMILIES))
