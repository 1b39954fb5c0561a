"""Engines for NVIDIA GPUs by name, each for one format of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from autotune.deployment.engine import Engine
from autotune.deployment.onnxruntime_gpu_engine import onnxruntime_cuda, onnxruntime_tensorrt
from autotune.deployment.torch_gpu_engine import COMPILED, EAGER, torch_compiled, torch_eager
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import Shape
from search_spaces.errors import Misuse

#: Makes an engine of a file, the shapes of all inputs by name, and the number of the GPU.
GpuEngineFactory = Callable[[Path, tuple[tuple[str, Shape], ...], int], Engine]

_FACTORIES: Mapping[str, tuple[ModelFormat, GpuEngineFactory]] = {
    "onnxruntime-cuda": (ModelFormat.ONNX, onnxruntime_cuda),
    "tensorrt": (ModelFormat.ONNX, onnxruntime_tensorrt),
    EAGER: (ModelFormat.TORCH, torch_eager),
    COMPILED: (ModelFormat.TORCH, torch_compiled),
}


def gpu_engine_names() -> list[str]:
    """Names of all engines for GPUs; the packages of some may be missing."""
    return list(_FACTORIES)


def gpu_engines_for(path: Path) -> list[str]:
    """Names of those that take a file's format."""
    wanted = format_of(path)
    return [name for name, (taken, _) in _FACTORIES.items() if taken is wanted]


def find_gpu_engine(name: str, path: Path, shapes: Mapping[str, Shape], index: int) -> Engine:
    """The engine of that name for a model's file on a GPU. Raises Misuse for an unknown name or another format."""
    if name not in gpu_engines_for(path):
        raise Misuse(
            f"expected an engine for {path.name} on a GPU, of {', '.join(gpu_engines_for(path)) or 'none'}; found "
            f"{name!r}",
            code="AT805",
        )
    _, factory = _FACTORIES[name]
    return factory(path.absolute(), tuple(shapes.items()), index)
