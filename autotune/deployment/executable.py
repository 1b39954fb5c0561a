"""A built model that can be called, from memory or from the library it was saved in (imports TVM)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tvm  # noqa: F401 - loads its runtime library
import tvm_ffi

from autotune.builders.cuda_callback import use_cuda_compiler
from autotune.deployment.kernel_pool import CallPlace, threads_within_quota
from autotune.deployment.library import Array, Library, as_returned, load_module
from autotune.deployment.shape_dispatch import PLAN, DynamicExecutable
from autotune.deployment.virtual_machine import returned_text, virtual_machine
from autotune.devices.opencl.runtime import load_opencl
from autotune.models.input_spec import InputSpec
from autotune.models.shape_plan import MAIN, ShapePlan
from search_spaces.errors import Misuse, last_line

#: The function of a library that returns the number of threads that it was tuned for.
THREADS = "threads"
#: The function of a library that returns TVM's name of the kind of device that it was built for.
DEVICE = "device"
#: The function of a library that returns its inputs, as a JSON list.
INPUTS = "inputs"


@dataclass(frozen=True, eq=False)
class Executable:
    """Calls a built model with static shapes; threads may share it."""

    library: Library

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        """The outputs for inputs in the order of the ONNX file: an array, or a tuple where there are several.

        Raises Misuse where the number of inputs, a shape or a dtype is not the model's.
        """
        return as_returned(self.library.run(MAIN, inputs))

    def clone(self, threads: int | None = None) -> Executable:
        """A clone for another thread: it shares the weights, and the two need not wait for each other.

        threads: for kernels; by default as many as this one has.
        """
        return Executable(self.library.clone(threads))


def load(
    path: str | Path,
    device: str | None = None,
    threads: int | None = None,
    place: CallPlace = CallPlace.KERNEL_THREAD,
) -> Executable | DynamicExecutable:
    """A model that `Build.save` wrote, ready to be called as ``model(input)``; threads may share it.

    threads: for kernels, at most as many as this process has processors; by default what the model was tuned for,
             as far as a CPU quota pays for them.
    device:  TVM's name of it, as in "cuda:1" or "opencl:0", by default the first of the kind that the model was built
             for; inputs and outputs of a call are copied there and back.
    place:   of the calls; in the calling thread they are faster, but forked children cannot end in order.
    The library is machine code: load only what you trust. Raises Misuse where it is not such a library.
    """
    module, found = _read(Path(path))
    device = device or found.device or "cpu"
    if device.startswith("opencl"):
        load_opencl()
    elif device.startswith("cuda"):
        use_cuda_compiler()
    wanted = threads or (threads_within_quota(found.threads) if found.threads else None)
    library = Library(module, device, wanted if device == "cpu" else None, place)
    return Executable(library) if found.plan is None else DynamicExecutable(library, found.plan)


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """Facts that a library stores; None where it was built by an older version, or has no such fact.

    inputs: with the largest sizes of axes that differ from call to call; plan: of these; threads: it was tuned for;
    device: TVM's name of the kind that it was built for.
    """

    inputs: tuple[InputSpec, ...] | None
    plan: ShapePlan | None
    threads: int | None
    device: str | None


def read_facts(path: str | Path) -> LibraryFacts:
    """The facts of a model that `Build.save` wrote. Raises Misuse where it is not such a library."""
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[Any, LibraryFacts]:
    """A library as TVM's module, and its facts."""
    if not os.path.isfile(path):
        raise Misuse(f"expected a built model at {path}; there is no such file", code="AT705")
    try:
        module = load_module(path.resolve())
        # These texts are constants: reading them needs no other device.
        machine = virtual_machine(module, tvm_ffi.device("cpu"))
        inputs, plan, threads, device = (
            returned_text(machine, name) for name in (INPUTS, PLAN, THREADS, DEVICE)
        )
        return module, LibraryFacts(
            None if inputs is None else msgspec.json.decode(inputs, type=tuple[InputSpec, ...]),
            None if plan is None else ShapePlan.from_json(plan),
            None if threads is None else int(threads),
            device,
        )
    except (RuntimeError, ValueError, OSError, AttributeError, msgspec.MsgspecError) as error:
        raise Misuse(
            f"expected a built model; {path} cannot be loaded as one: {last_line(error)}", code="AT705"
        ) from error


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A saved model as an engine that a worker process opens (`autotune.deployment.engine`); see `load`."""

    path: Path
    name: str = "autotune"
    threads: int | None = None
    device: str | None = None

    def open(self) -> Executable | DynamicExecutable:
        """The model, loaded into this process."""
        return load(self.path, self.device, self.threads, CallPlace.CALLING_THREAD)
