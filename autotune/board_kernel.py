"""A kernel on a board, reached over TVM's RPC (imports TVM)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm

from autotune.artifact import Artifact
from autotune.guarded_array import Array, sentinel_bytes
from autotune.operands import Signs, draw_inputs


class BoardOperands:
    """Arrays in a session on a board, between guards; the inputs of the last task are kept there."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._allocate = session.get_function("autotune.board.allocate")
        self._intact = session.get_function("autotune.board.intact")
        self._forget = session.get_function("autotune.board.forget")
        self._inputs: dict[tuple[str, Signs], list[Any]] = {}

    @property
    def intact(self) -> bool:
        """Whether nobody wrote outside the arrays."""
        return bool(self._intact())

    def array(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of undefined data."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self._allocate(size)._create_view(shape, dtype)

    def inputs(self, artifact: Artifact, signs: Signs) -> list[Any]:
        """The inputs of a task; they travel once."""
        key = (artifact.task.key, signs)
        if key not in self._inputs:
            self.forget()
            values = draw_inputs(artifact.task.key, artifact.signature, signs)
            self._inputs = {key: [self._sent(each) for each in values]}
        return self._inputs[key]

    def forget(self) -> None:
        """Gives up all arrays."""
        self._inputs = {}
        self._forget()

    def _sent(self, values: Array) -> Any:
        array = self.array(values.shape, str(values.dtype))
        write_bytes(array, np.ascontiguousarray(values).reshape(-1).view(np.uint8))
        return array


class BoardKernel:
    """A library sent to a board and loaded there; weights are prepacked when it is made."""

    def __init__(self, operands: BoardOperands, name: str, artifact: Artifact, signs: Signs) -> None:
        """name: of the library's file on the board."""
        self._operands = operands
        session = operands.session
        session.upload(bytearray(artifact.library.read_bytes()), name)
        self._library = session.load_module(name)
        self._device = session.cpu()
        self._specs = [spec for spec in artifact.signature if spec.is_output]
        inputs = iter(operands.inputs(artifact, signs))
        self._arguments = [
            operands.array(spec.shape, spec.dtype) if spec.is_output else next(inputs)
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
        """What the last run wrote, fetched."""
        return [
            read_bytes(array).view(np.dtype(spec.dtype)).reshape(spec.shape)
            for array, spec in zip(self._outputs, self._specs, strict=True)
        ]

    @property
    def intact(self) -> bool:
        """Whether all guards on the board are as they were."""
        return self._operands.intact

    def checked_run(self) -> float:
        """Runs once on outputs marked as unwritten; seconds, the way there and back included."""
        for array, spec in zip(self._outputs, self._specs, strict=True):
            size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
            write_bytes(array, sentinel_bytes(size, spec.dtype))
        started = time.perf_counter()
        self._library[self._name](*self._arguments)
        return time.perf_counter() - started

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """The kernel n times in a row, timed on the board by TVM's own evaluator."""

        def run(number: int) -> float:
            timer = self._library.time_evaluator(
                self._name, self._device, number=number, repeat=1, cache_flush_bytes=flush_bytes
            )
            return float(timer(*self._arguments).results[0])

        return run

    def forget_inputs(self) -> None:
        """Inputs are sent anew for the next kernel."""
        self._operands.forget()

    def _prepack(self, artifact: Artifact) -> None:
        weights = [self._arguments[weight.parameter] for weight in artifact.prepacked]
        layouts = [self._operands.array(weight.shape, weight.dtype) for weight in artifact.prepacked]
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
