"""Comparison of a build with ONNX Runtime on the model's file (imports TVM)."""

from __future__ import annotations

from onnx_comparison import onnx_runtime_outputs

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge, of_peer
from autotune.models.model import Model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog


def check_build(model: Model, target: Target) -> None:
    """Holds the outputs of a build without records against ONNX Runtime's."""
    inputs = draw(model.inputs, 0)
    found = compile(model, target, TuningLog.in_memory())(*inputs)
    verdict = judge(
        found if isinstance(found, tuple) else (found,), of_peer(onnx_runtime_outputs(model, inputs))
    )
    assert verdict.mistake is None, verdict
