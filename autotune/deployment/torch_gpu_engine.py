"""PyTorch on an NVIDIA GPU as the peer of a build: eager or compiled (imports PyTorch where it is opened)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from autotune.deployment.torch_engine import callable_of
from autotune.models.extras import needing
from autotune.models.onnx_file import Shape
from search_spaces.errors import Misuse

Array = npt.NDArray[Any]

EAGER, COMPILED = "torch-cuda", "torch-compiled"


@dataclass(frozen=True, slots=True)
class TorchGpu:
    """A program of `torch.export` in a file as an engine for a worker process (`autotune.deployment.engine`).

    index: of the GPU; name: EAGER, or COMPILED for Inductor's best.
    """

    path: Path
    index: int
    name: str

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """The program, its weights on the GPU, without gradients. Raises Misuse for a PyTorch that sees none."""
        torch = needing("torch", "torch", "to run a PyTorch program")
        if not torch.cuda.is_available():
            raise Misuse(
                f"expected a PyTorch that sees a GPU of NVIDIA to run a model in {self.name}; found torch "
                f"{torch.__version__}, which sees none. Install the build of PyTorch for CUDA, and the driver",
                code="AT802",
            )
        device = f"cuda:{self.index}"
        program = needing("torch", "autotune.models.torch_file", "to read a PyTorch program").read(self.path)
        passes: Any = needing("torch", "torch.export.passes", "to move a program to a GPU")
        program = passes.move_to_device_pass(program, device)
        module = program.module()
        if self.name == COMPILED:
            module = torch.compile(module, mode="max-autotune")
        return callable_of(torch, program, module, device)


def torch_eager(path: Path, _shapes: tuple[tuple[str, Shape], ...], index: int) -> TorchGpu:
    """PyTorch, operator by operator."""
    return TorchGpu(path, index, EAGER)


def torch_compiled(path: Path, _shapes: tuple[tuple[str, Shape], ...], index: int) -> TorchGpu:
    """PyTorch, compiled by Inductor."""
    return TorchGpu(path, index, COMPILED)
