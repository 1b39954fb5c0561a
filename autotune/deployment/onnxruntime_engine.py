"""ONNX Runtime as the peer of a build: the same file, the same shapes, as many threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from autotune.models import onnx_file
from autotune.models.onnx_file import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """An ONNX file as an engine for a worker process (`autotune.deployment.engine`); shapes: of all inputs by name."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int
    name: str = "onnxruntime"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """A session on the CPU with all of ONNX Runtime's optimizations, one operator after another."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        model = onnx_file.read(self.path, dict(self.shapes))
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        return lambda *inputs: tuple(session.run(None, dict(zip(names, inputs, strict=True))))
