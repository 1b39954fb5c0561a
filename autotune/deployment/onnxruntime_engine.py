"""ONNX Runtime as the peer of a build: the same file, the same shapes, as many threads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime

from autotune.models import onnx_file
from autotune.models.onnx_file import Shape

Array = npt.NDArray[Any]

# Protocol buffers end at 2 GiB; larger models go through files beside them.
_LARGEST_MESSAGE_BYTES = 2_000_000_000


class Optimizations(Enum):
    """Graph optimizations of ONNX Runtime: ALL is the fastest, NONE computes each operator as ONNX defines it."""

    ALL = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    NONE = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """An ONNX file as an engine for a worker process (`autotune.deployment.engine`); shapes: of all inputs by name."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int
    name: str = "onnxruntime"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """A session on the CPU with all of ONNX Runtime's optimizations, one operator after another."""
        model = onnx_file.read(self.path, dict(self.shapes))
        # The session outlives this call: it is closed with the process.
        session = ExitStack().enter_context(session_of(model, self.threads, Optimizations.ALL))
        names = [value.name for value in session.get_inputs()]
        return lambda *inputs: tuple(session.run(None, dict(zip(names, inputs, strict=True))))


@contextmanager
def session_of(
    model: onnx.ModelProto,
    threads: int,
    optimizations: Optimizations,
    providers: Sequence[str | tuple[str, dict[str, int]]] = ("CPUExecutionProvider",),
) -> Iterator[onnxruntime.InferenceSession]:
    """A session of a model, by default on the CPU, one operator after another. Raises what ONNX Runtime raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = optimizations.value
    options.log_severity_level = 4
    with ExitStack() as stack:
        source: bytes | str
        if model.ByteSize() > _LARGEST_MESSAGE_BYTES:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="autotune-onnx-"))
            source = str(Path(folder) / "model.onnx")
            onnx.save(model, source, save_as_external_data=True, location="weights.bin")
        else:
            source = model.SerializeToString()
        yield onnxruntime.InferenceSession(source, options, providers=list(providers))
