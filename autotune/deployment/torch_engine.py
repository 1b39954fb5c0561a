"""PyTorch as the peer of a build: the same exported program, as many threads (imports PyTorch where it is opened)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from autotune.models.extras import needing

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TorchProgram:
    """A program of `torch.export` in a file as an engine for a worker process (`autotune.deployment.engine`)."""

    path: Path
    threads: int
    name: str = "torch"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """The program as a module, run without gradients on the CPU."""
        torch = needing("torch", "torch", "to run a PyTorch program")
        torch.set_num_threads(self.threads)
        program = needing("torch", "autotune.models.torch_file", "to read a PyTorch program").read(self.path)
        return callable_of(torch, program, program.module())


def callable_of(
    torch: Any, program: Any, module: Any, device: str = "cpu"
) -> Callable[..., tuple[Array, ...]]:
    """A function of arrays in the order of the program's inputs that calls its module, which is on that device."""
    pytree: Any = needing("torch", "torch.utils._pytree", "to run a PyTorch program")

    def run(*inputs: Array) -> tuple[Array, ...]:
        args, kwargs = pytree.tree_unflatten(
            [tensor_of(torch, value).to(device) for value in inputs], program.call_spec.in_spec
        )
        with torch.no_grad():
            found = pytree.tree_leaves(module(*args, **kwargs))
        return tuple(array_of(torch, each.cpu()) for each in found if isinstance(each, torch.Tensor))

    return run


def tensor_of(torch: Any, value: Array) -> Any:
    """A copy, as PyTorch does not know NumPy's bfloat16 and refuses to share what may not be written."""
    if value.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(value))


def array_of(torch: Any, value: Any) -> Array:
    """A tensor of PyTorch as an array."""
    if value.dtype == torch.bfloat16:
        return np.asarray(value.detach().contiguous().view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(value.detach().numpy())
