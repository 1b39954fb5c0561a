"""The runtime of a model's own file format, whose outputs a build has to reproduce."""

from __future__ import annotations

from autotune.deployment import tflite_engine
from autotune.deployment.engine import Engine
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.tflite_engine import TfliteInterpreter
from autotune.deployment.torch_engine import TorchProgram
from autotune.models.model import Model
from autotune.models.model_format import ModelFormat


def reference_engine(model: Model, threads: int) -> Engine | None:
    """ONNX Runtime, PyTorch or TFLite's interpreter on so many threads; None where that is not installed.

    It takes the inputs of the model, and returns its outputs, in the order of the file.
    """
    path = model.path.absolute()
    match model.format:
        case ModelFormat.ONNX:
            return OnnxRuntime(path, tuple(model.shapes.items()), threads)
        case ModelFormat.TORCH:
            return TorchProgram(path, threads)
        case ModelFormat.TFLITE:
            return TfliteInterpreter(path, threads) if tflite_engine.is_installed() else None
