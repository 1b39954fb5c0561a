"""The rewrite of each operator, by its type; ONNX Runtime's own operators by domain and type."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from autotune.models.onnx_passes import convolutions, pooling, resizing
from autotune.models.onnx_passes.node import Rewrite

_FAMILIES = (convolutions, pooling, resizing)

REWRITES: Mapping[str, Rewrite] = ChainMap(*(family.REWRITES for family in _FAMILIES))
