"""ONNX Runtime on an NVIDIA GPU as the peer of a build: by its own kernels, or by TensorRT's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.models import onnx_file
from autotune.models.onnx_file import Shape
from search_spaces.errors import Misuse

Array = npt.NDArray[Any]

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_HOST_THREADS = 1


@dataclass(frozen=True, slots=True)
class OnnxRuntimeGpu:
    """An ONNX file as an engine for a worker process (`autotune.deployment.engine`).

    shapes: of all inputs by name; index: of the GPU; provider: ONNX Runtime's name of what runs the model.
    """

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    index: int
    provider: str
    name: str

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """A session whose weights stay on the GPU. Raises Misuse where this ONNX Runtime has none for it."""
        if self.provider not in onnxruntime.get_available_providers():
            raise self._missing(f"an ONNX Runtime with {', '.join(onnxruntime.get_available_providers())}")
        model = onnx_file.read(self.path, dict(self.shapes))
        providers = [(self.provider, {"device_id": self.index})]
        # The session outlives this call: it is closed with the process.
        session = ExitStack().enter_context(
            session_of(model, _HOST_THREADS, Optimizations.ALL, [*providers, "CPUExecutionProvider"])
        )
        if self.provider not in session.get_providers():
            # Libraries of CUDA or TensorRT are missing: ONNX Runtime would run the model on the processor.
            raise self._missing(f"a session on {', '.join(session.get_providers())}")
        names = [value.name for value in session.get_inputs()]
        return lambda *inputs: tuple(session.run(None, dict(zip(names, inputs, strict=True))))

    def _missing(self, found: str) -> Misuse:
        return Misuse(
            f"expected ONNX Runtime's {self.provider} to run a model in {self.name}; found {found}. Install it: "
            "pip install onnxruntime-gpu in place of onnxruntime, and for TensorRT its libraries",
            code="AT802",
        )


def onnxruntime_cuda(path: Path, shapes: tuple[tuple[str, Shape], ...], index: int) -> OnnxRuntimeGpu:
    """ONNX Runtime with its own kernels."""
    return OnnxRuntimeGpu(path, shapes, index, CUDA, "onnxruntime-cuda")


def onnxruntime_tensorrt(path: Path, shapes: tuple[tuple[str, Shape], ...], index: int) -> OnnxRuntimeGpu:
    """ONNX Runtime with TensorRT's kernels."""
    return OnnxRuntimeGpu(path, shapes, index, TENSORRT, "tensorrt")
