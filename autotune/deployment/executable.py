"""A built model that can be called, from memory or from the library it was saved in (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from search_spaces.errors import Misuse, last_line

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Executable:
    """Calls a built model on a device of this machine.

    vm_executable: TVM's own object, or the module that loading a library gives.
    device:        TVM's name of the device, as in "cpu" or "cuda".
    """

    vm_executable: Any
    device: str

    @cached_property
    def _main(self) -> Any:
        return relax.VirtualMachine(self.vm_executable, tvm.device(self.device))["main"]

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        """The outputs for inputs in the order of the ONNX file: an array, or a tuple where there are several.

        Raises Misuse where the number of inputs, a shape or a dtype is not the model's.
        """
        device = tvm.device(self.device)
        arguments = [tvm.runtime.tensor(np.asarray(value, order="C"), device) for value in inputs]
        try:
            found = self._main(*arguments)
        except (RuntimeError, ValueError, TypeError) as error:
            given = ", ".join(f"{value.dtype} {value.shape}" for value in inputs)
            raise Misuse(
                f"expected inputs that fit the model; found {given or 'none'}: {last_line(error)}",
                code="AT709",
            ) from error
        if isinstance(found, tvm.runtime.Tensor):
            return np.asarray(found.numpy())
        return tuple(np.asarray(each.numpy()) for each in found)


def load(path: str | Path, device: str = "cpu") -> Executable:
    """A model that `Build.save` wrote, ready to be called as ``model(input)``.

    The library is machine code: load only what you trust. Raises Misuse where it is not such a library.
    """
    path = Path(path)
    if not path.is_file():
        raise Misuse(f"expected a built model at {path}; there is no such file", code="AT705")
    try:
        return Executable(tvm.runtime.load_module(str(path.absolute())), device)
    except (RuntimeError, ValueError, OSError) as error:
        raise Misuse(
            f"expected a built model; {path} cannot be loaded as one: {last_line(error)}", code="AT705"
        ) from error


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A saved model as an engine that a worker process opens (`autotune.deployment.engine`)."""

    path: Path
    name: str = "autotune"

    def open(self) -> Executable:
        """The model, loaded into this process."""
        return load(self.path)
