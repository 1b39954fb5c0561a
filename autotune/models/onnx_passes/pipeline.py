"""The order in which an ONNX graph is rewritten before TVM imports it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import onnx

from autotune.models.onnx_passes.constant_folding import with_folded_constants
from autotune.models.onnx_passes.constants import with_dense_initializers

Pass = Callable[[onnx.ModelProto], onnx.ModelProto]

#: Each pass sees static inputs, and what the passes before it left.
PASSES: tuple[Pass, ...] = (
    with_dense_initializers,
    with_folded_constants,
)


def normalized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as TVM's importer takes it: same inputs, outputs and element types. Raises Misuse where it cannot be."""
    return functools.reduce(lambda rewritten, rewrite: rewrite(rewritten), PASSES, model)
