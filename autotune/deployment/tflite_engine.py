"""TFLite's interpreter as the peer of a build: the same file, as many threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt

from search_spaces.errors import AutotuneError

Array = npt.NDArray[Any]

# The packages that offer the interpreter, and the module that has it; the newest first.
_PACKAGES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite",
}


@dataclass(frozen=True, slots=True)
class TfliteInterpreter:
    """A TFLite file as an engine for a worker process (`autotune.deployment.engine`)."""

    path: Path
    threads: int
    name: str = "tflite"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """An interpreter with its tensors allocated, on the CPU. Raises AutotuneError where none is installed."""
        return _opened(self.threads, Kernels.DEFAULT, model_path=str(self.path))[0]


class Kernels(Enum):
    """Kernels of the interpreter, by its own names: those it chooses, and those without XNNPACK's."""

    DEFAULT = "AUTO"
    OTHER = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


def open_content(
    content: bytes, threads: int, kernels: Kernels = Kernels.DEFAULT
) -> tuple[Callable[..., tuple[Array, ...]], bool]:
    """As `TfliteInterpreter.open`, for the bytes of a file; and whether it has quantized tensors."""
    return _opened(threads, kernels, model_content=content)


def _opened(
    threads: int, kernels: Kernels, **file: str | bytes
) -> tuple[Callable[..., tuple[Array, ...]], bool]:
    name = _interpreter_module()
    if name is None:
        raise AutotuneError(
            "expected an interpreter of TFLite files; found none. Install one: pip install ai-edge-litert",
            code="AT802",
        )
    module = import_module(name)
    resolvers = getattr(module, "OpResolverType", None) or module.experimental.OpResolverType
    interpreter = module.Interpreter(
        **file, num_threads=threads, experimental_op_resolver_type=resolvers[kernels.value]
    )
    interpreter.allocate_tensors()
    fed = [each["index"] for each in interpreter.get_input_details()]
    read = [each["index"] for each in interpreter.get_output_details()]

    def run(*inputs: Array) -> tuple[Array, ...]:
        for index, value in zip(fed, inputs, strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return tuple(interpreter.get_tensor(index) for index in read)

    scales = (each["quantization_parameters"]["scales"] for each in interpreter.get_tensor_details())
    return run, any(len(each) for each in scales)


def _interpreter_module() -> str | None:
    return next((module for name, module in _PACKAGES.items() if find_spec(name) is not None), None)
