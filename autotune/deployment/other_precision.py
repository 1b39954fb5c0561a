"""A model of ONNX in the other precision: how far apart the two runs are is what the roundings inside of it do."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Final

import onnx
import onnxruntime

from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.models.onnx_passes.double_floats import with_double_floats
from autotune.models.onnx_passes.wide_floats import narrow_dtype

#: Weights of a model that is affordable in float64.
MOST_WEIGHT_BYTES: Final = 256 * 2**20
# ONNX Runtime has no kernels in float64 for these; others are found when a session is opened.
_FLOAT32_ONLY = frozenset({
    "AveragePool", "BiasGelu", "Conv", "ConvTranspose", "Elu", "Erf", "FastGelu", "FusedConv", "Gelu",
    "GlobalAveragePool", "HardSigmoid", "HardSwish", "InstanceNormalization", "LRN", "LeakyRelu", "Mish", "PRelu",
    "QuickGelu", "Resize", "Selu", "Softplus", "Softsign", "ThresholdedRelu", "Upsample",
})  # fmt: skip
_MOST_OPENINGS = 12
# "Could not find an implementation for Conv(11)", "Type 'tensor(double)' of input parameter (X) of operator (Resize)".
_REFUSED = re.compile(r"implementation for (\w+)\(|operator \((\w+)\)")


def open_other(
    model: onnx.ModelProto, wide: onnx.ModelProto, threads: int, stack: ExitStack
) -> onnxruntime.InferenceSession | None:
    """A session of the model in half floats where it has any, otherwise in float64; None where that cannot be had.

    wide: the model as the reference runs it, in float32; stack: closes the session.
    """
    if narrow_dtype(model) is not None:
        found = _opened(model, threads, stack)
        return found if isinstance(found, onnxruntime.InferenceSession) else None
    if sum(len(tensor.raw_data) for tensor in wide.graph.initializer) > MOST_WEIGHT_BYTES:
        return None
    kept = set(_FLOAT32_ONLY)
    for _ in range(_MOST_OPENINGS):
        found = _opened(with_double_floats(wide, kept), threads, stack)
        if isinstance(found, onnxruntime.InferenceSession):
            return found
        refused = _REFUSED.search(str(found))
        operator = (refused[1] or refused[2]) if refused else None
        if operator is None or operator in kept:
            return None
        kept.add(operator)
    return None


def _opened(
    model: onnx.ModelProto, threads: int, stack: ExitStack
) -> onnxruntime.InferenceSession | Exception:
    try:
        return stack.enter_context(session_of(model, threads, Optimizations.NONE))
    except Exception as error:  # noqa: BLE001  ONNX Runtime's exceptions have no common base class of their own
        return error
