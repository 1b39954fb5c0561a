"""PyTorch modules in memory as models: exported to a file, which other processes can read."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autotune.models.extras import needing
from autotune.models.model import Model, load_model
from autotune.models.model_format import ModelFormat
from search_spaces.errors import Misuse, last_line


def from_torch(module: Any, example: Any, path: str | Path | None = None) -> Model:
    """The model of a `torch.nn.Module`, as it computes in evaluation mode.

    example: the arguments of a call, a tuple of tensors or one tensor; their shapes and dtypes are the model's.
    path:    the ``.pt2`` file to export to, which is replaced; without one the file is deleted when the program ends.

    Raises Misuse where PyTorch is not installed or cannot export the module, and as `load_model` does.
    """
    torch = needing("torch", "torch", "to export a PyTorch module")
    if not isinstance(module, torch.nn.Module):
        raise Misuse(f"expected a torch.nn.Module; found {type(module).__name__}", code="AT102")
    file = Path(path) if path is not None else _scratch_folder() / f"{type(module).__name__}.pt2"
    if file.suffix != ModelFormat.TORCH.value:
        raise Misuse(f"expected a path that ends in {ModelFormat.TORCH.value}; found {file}", code="AT102")
    program = _exported(torch, module, example if isinstance(example, tuple) else (example,))
    try:
        torch.export.save(program, str(file))
    except (OSError, RuntimeError) as error:
        raise Misuse(
            f"cannot write the exported program to {file}: {last_line(error)}", code="AT803"
        ) from error
    return load_model(file)


def _exported(torch: Any, module: Any, example: tuple[Any, ...]) -> Any:
    try:
        with _evaluating(module):
            return torch.export.export(module, example)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise Misuse(
            f"expected a module that torch.export can export; {type(module).__name__} is not one: {reason}",
            code="AT102",
        ) from error


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode of the module and all parts of it, which then get back the modes that they had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _scratch_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="autotune-torch-")
    atexit.register(_remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, owner: int) -> None:
    """Removes a folder, unless this is a forked child of the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
