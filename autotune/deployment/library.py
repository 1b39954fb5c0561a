"""The functions of a built model, called by one thread at a time (imports TVM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from autotune.deployment.kernel_pool import KernelPool, usable_threads
from search_spaces.errors import Misuse, last_line

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Library:
    """Runs functions of a built model on a device of this machine; threads may share it, and wait for each other.

    A call computes on all of the model's threads, so that calls side by side would be slower.
    vm_executable: TVM's own object, or the module that loading a library gives.
    device:        TVM's name of the device, as in "cpu" or "cuda".
    threads:       for kernels; None leaves TVM's own choice.
    """

    vm_executable: Any
    device: str
    threads: int | None = None
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @cached_property
    def _machine(self) -> Any:
        return relax.VirtualMachine(self.vm_executable, tvm.device(self.device))

    @cached_property
    def _pool(self) -> KernelPool | None:
        return None if self.threads is None else KernelPool(usable_threads(self.threads))

    def run(self, function: str, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs of a function. Raises Misuse where the inputs do not fit it."""
        device = tvm.device(self.device)
        arguments = [tvm.runtime.tensor(np.asarray(value, order="C"), device) for value in inputs]
        try:
            # TVM's virtual machine has one set of registers.
            with self._lock:
                found = self._called(function, arguments)
        except (RuntimeError, ValueError, TypeError) as error:
            given = ", ".join(f"{value.dtype} {value.shape}" for value in inputs)
            raise Misuse(
                f"expected inputs that fit the model; found {given or 'none'}: {last_line(error)}",
                code="AT709",
            ) from error
        if isinstance(found, tvm.runtime.Tensor):
            return (np.asarray(found.numpy()),)
        return tuple(np.asarray(each.numpy()) for each in found)

    def _called(self, function: str, arguments: Sequence[Any]) -> Any:
        if self._pool is None:
            return self._machine[function](*arguments)
        return self._pool.run(lambda: self._machine[function](*arguments))


def as_returned(outputs: Sequence[Array]) -> Array | tuple[Array, ...]:
    """One output as it is, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
