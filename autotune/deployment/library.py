"""The functions of a built model, called by one thread at a time (imports TVM's foreign function interface)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

from autotune.deployment.call_memory import CALL_MEMORY, CallMemory
from autotune.deployment.kernel_pool import CallPlace, KernelPool, usable_threads
from autotune.deployment.tensors import InputTensors, output_arrays
from autotune.deployment.virtual_machine import returned_text, virtual_machine
from search_spaces.errors import AutotuneError, Misuse, last_line
from search_spaces.fork_lock import ForkLock

Array = npt.NDArray[Any]

#: The files that this process has mapped.
_MAPPED = Path("/proc/self/maps")


@dataclass(frozen=True, eq=False)
class CallContext:
    """The state of calls in one process: TVM's virtual machine, which has one set of registers, and kernel threads."""

    machine: tvm_ffi.Module
    device: str
    pool: KernelPool
    lock: ForkLock
    memory: CallMemory = field(default_factory=CallMemory)
    inputs: dict[str, InputTensors] = field(default_factory=dict)

    def call(self, function: str, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs of a function; raises what TVM raises."""
        return self.pool.run(partial(self._call, function, inputs))

    def _call(self, function: str, inputs: Sequence[Array]) -> tuple[Array, ...]:
        # Arrays are converted here: a daemon thread within TVM would bring an ending process down.
        with self.lock:
            kept = self.inputs.get(function)
            if kept is None:
                device = tvm_ffi.device(self.device)
                kept = self.inputs[function] = InputTensors(device, self.memory.input_alignment)
            found = self.machine[function](*kept.filled(inputs))
            tensors = (found,) if isinstance(found, tvm_ffi.Tensor) else tuple(found)
            return output_arrays(tensors, self.memory.own_outputs.get(function, ()))


# OpenCL's words, when a kernel is called first.
_REFUSED_BY_DRIVER = "failed to build the program"


@dataclass(frozen=True, eq=False)
class Library:
    """Runs functions of a built model on a device of this machine; threads may share it, and wait for each other.

    So may forked children of the process, on CPUs; each of them has kernel threads of its own.
    vm_executable: TVM's `Executable`, or the module that loading a library gives.
    device:        TVM's name of the device, as in "cpu" or "cuda".
    threads:       for kernels; None leaves TVM's own choice.
    place:         where its functions are called.
    """

    vm_executable: Any
    device: str
    threads: int | None = None
    place: CallPlace = CallPlace.KERNEL_THREAD
    _process: int = field(default_factory=os.getpid, init=False, repr=False)
    _contexts: dict[int, CallContext] = field(default_factory=dict, init=False, repr=False)

    def run(self, function: str, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs of a function.

        Raises Misuse where the inputs do not fit it, and AutotuneError where a GPU's driver refuses its kernels.
        """
        context = self._context()
        try:
            return context.call(function, inputs)
        except (RuntimeError, ValueError, TypeError) as error:
            if _REFUSED_BY_DRIVER in str(error):
                raise AutotuneError(
                    f"expected the driver of {self.device} to compile the model's kernels; found: {last_line(error)}. "
                    "Models in halves need a device that has them",
                    code="AT716",
                ) from error
            given = ", ".join(f"{value.dtype} {value.shape}" for value in map(np.asarray, inputs))
            raise Misuse(
                f"expected inputs that fit the model; found {given or 'none'}: {last_line(error)}",
                code="AT709",
            ) from error

    def clone(self, threads: int | None) -> Library:
        """A clone that shares functions and weights, with registers and kernel threads of its own."""
        return replace(self, threads=self.threads if threads is None else threads)

    def _context(self) -> CallContext:
        process = os.getpid()
        found = self._contexts.get(process)
        if found is not None:
            return found
        if process != self._process and self.device != "cpu":
            raise Misuse(
                f"expected the process that loaded the model to call it; found a forked child of it, where "
                f"{self.device} cannot be used. Start children with the method 'spawn', and load the model in them",
                code="AT715",
            )
        place = self.place if process == self._process else CallPlace.KERNEL_THREAD
        pool = KernelPool(None if self.threads is None else usable_threads(self.threads), place)
        machine = virtual_machine(self.vm_executable, tvm_ffi.device(self.device))
        context = CallContext(machine, self.device, pool, ForkLock(), _call_memory(machine))
        return self._contexts.setdefault(process, context)


def _call_memory(machine: tvm_ffi.Module) -> CallMemory:
    """The library's `CallMemory`; the default for libraries of older versions, and for other devices."""
    text = returned_text(machine, CALL_MEMORY)
    return CallMemory() if text is None else CallMemory.from_json(text)


def as_returned(outputs: Sequence[Array]) -> Array | tuple[Array, ...]:
    """One output as it is, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def load_module(path: Path) -> tvm_ffi.Module:
    """A library as TVM's module; through a link where its path alone would not do.

    TVM takes no path with bytes that are not UTF-8. The dynamic loader takes a path for the library that it loaded from
    there before, even if another file has replaced that since: a model that is built anew, and loaded while the old
    one is still held, as in a notebook.
    """
    with ExitStack() as stack:
        if not _is_text(path) or _is_replaced(path):
            folder = stack.enter_context(TemporaryDirectory(prefix="autotune-library-"))
            (link := Path(folder) / "model.so").symlink_to(path.absolute())
            path = link
        # TVM's own `load_module` keeps what it loads, weights included, for the life of the process.
        return tvm_ffi.load_module(str(path), keep_module_alive=False)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_replaced(path: Path) -> bool:
    """Whether this process still has a file mapped that was at the path before, on Linux."""
    if not _MAPPED.exists():
        return False
    removed = b" " + os.fsencode(path.resolve()) + b" (deleted)"
    return any(line.endswith(removed) for line in _MAPPED.read_bytes().splitlines())
