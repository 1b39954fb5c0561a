"""The runtime of a model's own file format, whose outputs a build has to reproduce."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autotune.deployment.engine import Engine
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.tflite_engine import TfliteInterpreter
from autotune.deployment.torch_engine import TorchProgram
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import Shape

#: The engine that is the runtime of a format, by its name.
RUNTIMES = {
    ModelFormat.ONNX: "onnxruntime",
    ModelFormat.TORCH: "torch",
    ModelFormat.TFLITE: "tflite",
}


def reference_engine(path: Path, shapes: Mapping[str, Shape], threads: int) -> Engine:
    """ONNX Runtime, PyTorch or TFLite's interpreter on so many threads, which may not be installed; see `RUNTIMES`.

    It takes the inputs of the model's file, and returns its outputs, in the order of the file.
    """
    path = path.absolute()
    match format_of(path):
        case ModelFormat.ONNX:
            return OnnxRuntime(path, tuple(shapes.items()), threads)
        case ModelFormat.TORCH:
            return TorchProgram(path, threads)
        case ModelFormat.TFLITE:
            return TfliteInterpreter(path, threads)
