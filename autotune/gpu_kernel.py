"""A kernel on a GPU of this machine (imports TVM).

Runs in a worker process. Times are taken by TVM's evaluator, which uses the GPU's own events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import tvm

from autotune.artifact import Artifact
from autotune.guarded_array import Array, sentinel_bytes
from autotune.kernel_trial import TrialOptions, try_kernel
from autotune.operands import Signs, draw_inputs
from tuning_logs.measurement import Check, Measurement

# Behind each array: there is no looking before one that the driver allocated.
_GUARD_BYTES = 4096


def warm_up() -> None:
    """Nothing but the imports of this module."""


def try_on_gpu(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    """Measures an artifact on the first GPU that the process sees."""
    return try_kernel(artifact, options, GpuKernel)


def gpu_facts(index: int) -> dict[str, str | int] | None:
    """What the driver tells of a GPU, None where there is no such GPU or no driver."""
    gpu = tvm.cuda(index)
    if not gpu.exist:
        return None
    return {
        "gpu_name": str(gpu.device_name),
        "driver": str(gpu.api_version),
        "compute_capability": str(gpu.compute_version),
        "max_clock_khz": int(gpu.max_clock_rate or 0),
        "multiprocessors": int(gpu.multi_processor_count or 0),
    }


class GpuKernel:
    """A library with its operands in the GPU's memory."""

    def __init__(self, artifact: Artifact, signs: Signs) -> None:
        self._device = tvm.cuda(0)
        self._library = tvm.runtime.load_module(str(artifact.library))
        self._specs = [spec for spec in artifact.signature if spec.is_output]
        inputs = iter(_inputs(artifact.task.key, artifact.signature, signs))
        self._arrays = [
            _Guarded(spec.shape, spec.dtype, self._device) if spec.is_output else next(inputs)
            for spec in artifact.signature
        ]
        self._outputs = [
            array for array, spec in zip(self._arrays, artifact.signature, strict=True) if spec.is_output
        ]
        self._arguments = [array.tensor for array in self._arrays]

    @property
    def outputs(self) -> list[Array]:
        """What the last run wrote, fetched."""
        return [array.values for array in self._outputs]

    @property
    def intact(self) -> bool:
        """Whether nobody wrote just behind an array."""
        return all(array.intact for array in self._arrays)

    def checked_run(self) -> float:
        """Runs once on outputs marked as unwritten; seconds."""
        for array in self._outputs:
            array.mark_unwritten()
        self._device.sync()
        started = time.perf_counter()
        self._library["main"](*self._arguments)
        self._device.sync()
        return time.perf_counter() - started

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """The kernel n times in a row; flush_bytes: of the L2 cache, before."""

        def run(number: int) -> float:
            timer = self._library.time_evaluator(
                "main", self._device, number=number, repeat=1, cache_flush_bytes=flush_bytes
            )
            return float(timer(*self._arguments).results[0])

        return run

    def forget_inputs(self) -> None:
        """Inputs are drawn anew for the next kernel."""
        _inputs.cache_clear()


class _Guarded:
    """An array in the GPU's memory with a guard behind it."""

    def __init__(self, shape: tuple[int, ...], dtype: str, device: Any) -> None:
        self._dtype, self._shape = np.dtype(dtype), shape
        self._size = int(np.prod(shape)) * self._dtype.itemsize
        self._memory = tvm.runtime.empty((self._size + _GUARD_BYTES,), "uint8", device)
        self.tensor = self._memory._create_view(shape, dtype)
        self._write(np.zeros(self._size, np.uint8))

    @property
    def values(self) -> Array:
        data: Array = self._read()[: self._size].view(self._dtype).reshape(self._shape)
        return data

    @property
    def intact(self) -> bool:
        return bool((self._read()[self._size :] == sentinel_bytes(_GUARD_BYTES, "uint8")).all())

    def fill(self, values: Array) -> None:
        self._write(np.ascontiguousarray(values).reshape(-1).view(np.uint8))

    def mark_unwritten(self) -> None:
        self._write(sentinel_bytes(self._size, str(self._dtype)))

    def _write(self, data: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        self._memory.copyfrom(np.concatenate([data, sentinel_bytes(_GUARD_BYTES, "uint8")]))

    def _read(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(self._memory.numpy())


@lru_cache(maxsize=1)
def _inputs(task_key: str, signature: Any, signs: Signs) -> list[_Guarded]:
    arrays = []
    for values in draw_inputs(task_key, signature, signs):
        array = _Guarded(values.shape, str(values.dtype), tvm.cuda(0))
        array.fill(values)
        arrays.append(array)
    return arrays
