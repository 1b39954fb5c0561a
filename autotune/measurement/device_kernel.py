"""A kernel with operands in the memory of a device: a board behind RPC, or a GPU, local or a board's (imports TVM)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tvm

from autotune.builders.artifact import Artifact
from autotune.measurement.guarded_array import Array, sentinel_bytes
from autotune.measurement.inputs import Signs, draw_inputs


class DeviceMemory(Protocol):
    """Memory for operands, between guards that show writes outside them."""

    @property
    def device(self) -> Any:
        """TVM's device."""
        ...

    @property
    def intact(self) -> bool:
        """Whether the guards are unchanged, as far as the device has any."""
        ...

    def array(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An uninitialised array, which lives until the next release."""
        ...

    def keep(self) -> None:
        """Keeps the present arrays beyond the next release."""
        ...

    def release(self) -> None:
        """Frees all arrays but the kept ones."""
        ...

    def forget(self) -> None:
        """Frees all arrays."""
        ...


class DeviceInputs:
    """The inputs of the last task, kept in a device's memory from one kernel to the next."""

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory
        self._inputs: dict[tuple[str, Signs], list[Any]] = {}

    def of(self, artifact: Artifact, signs: Signs) -> list[Any]:
        """The inputs of a task, which are sent once."""
        key = (artifact.task.key, signs)
        if key not in self._inputs:
            self.forget()
            values = draw_inputs(artifact.task.key, artifact.signature, signs)
            self._inputs = {key: [self._sent(each) for each in values]}
            self.memory.keep()
        return self._inputs[key]

    def forget(self) -> None:
        """Frees all arrays; inputs are sent again for the next kernel."""
        self._inputs = {}
        self.memory.forget()

    def _sent(self, values: Array) -> Any:
        array = self.memory.array(values.shape, str(values.dtype))
        write_bytes(array, np.ascontiguousarray(values).reshape(-1).view(np.uint8))
        return array


class DeviceKernel:
    """A loaded library with its operands; the constructor prepacks weights."""

    def __init__(self, library: Any, inputs: DeviceInputs, artifact: Artifact, signs: Signs) -> None:
        self._library, self._inputs = library, inputs
        self._memory = inputs.memory
        self._specs = [spec for spec in artifact.signature if spec.is_output]
        self._memory.release()
        given = iter(inputs.of(artifact, signs))
        self._arguments = [
            self._memory.array(spec.shape, spec.dtype) if spec.is_output else next(given)
            for spec in artifact.signature
        ]
        self._outputs = [
            array for array, spec in zip(self._arguments, artifact.signature, strict=True) if spec.is_output
        ]
        self._name = "main"
        if artifact.prepacked:
            self._prepack(artifact)

    @property
    def outputs(self) -> list[Array]:
        """The outputs of the last run, copied from the device."""
        return [
            read_bytes(array).view(np.dtype(spec.dtype)).reshape(spec.shape)
            for array, spec in zip(self._outputs, self._specs, strict=True)
        ]

    @property
    def intact(self) -> bool:
        """Whether all guards are unchanged."""
        return self._memory.intact

    def checked_run(self) -> float:
        """Seconds of one run on outputs marked as unwritten, the round trip included."""
        for array, spec in zip(self._outputs, self._specs, strict=True):
            size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
            write_bytes(array, sentinel_bytes(size, spec.dtype))
        self._memory.device.sync()
        started = time.perf_counter()
        self._library[self._name](*self._arguments)
        self._memory.device.sync()
        return time.perf_counter() - started

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """A function for a stopwatch: calls the kernel n times, timed on the device by TVM's evaluator."""

        def run(number: int) -> float:
            timer = self._library.time_evaluator(
                self._name, self._memory.device, number=number, repeat=1, cache_flush_bytes=flush_bytes
            )
            return float(timer(*self._arguments).results[0])

        return run

    def forget_inputs(self) -> None:
        """Has the inputs sent again for the next kernel."""
        self._inputs.forget()

    def _prepack(self, artifact: Artifact) -> None:
        weights = [self._arguments[weight.parameter] for weight in artifact.prepacked]
        layouts = [self._memory.array(weight.shape, weight.dtype) for weight in artifact.prepacked]
        for layout, weight in zip(layouts, artifact.prepacked, strict=True):
            size = math.prod(weight.shape) * np.dtype(weight.dtype).itemsize
            write_bytes(layout, sentinel_bytes(size, weight.dtype))
        self._library["main_weight_prepack"](*weights, *layouts)
        for weight, layout in zip(artifact.prepacked, layouts, strict=True):
            self._arguments[weight.parameter] = layout
        self._name = "main_prepacked"


def write_bytes(array: tvm.runtime.Tensor, data: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Fills an array with bytes, whatever its dtype: NumPy's names for narrow floats are not TVM's."""
    array._create_view((data.size,), "uint8").copyfrom(data)


def read_bytes(array: tvm.runtime.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of an array."""
    size = math.prod(int(extent) for extent in array.shape) * (tvm.DataType(array.dtype).itemsize)
    return np.asarray(array._create_view((size,), "uint8").numpy())
