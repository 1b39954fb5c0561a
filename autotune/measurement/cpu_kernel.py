"""A kernel in this process, on the CPU (imports TVM).

Runs in a worker process whose environment fixes the threads of TVM's pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import cycle, islice

import numpy as np
import tvm

from autotune.builders.artifact import Artifact
from autotune.devices.processor import cache_bytes
from autotune.measurement.cold_weights import with_cold_weights
from autotune.measurement.guarded_array import Array, GuardedArray
from autotune.measurement.inputs import Signs, draw_inputs
from autotune.measurement.kernel_trial import TrialOptions, try_kernel
from search_spaces.tensor_ir.modules import TensorSpec
from tuning_logs.records.measurement import Check, Measurement


def try_on_cpu(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    """Measures an artifact in this process."""
    return try_kernel(artifact, options, LoadedKernel)


class LoadedKernel:
    """A loaded library with guarded operands; the constructor prepacks weights."""

    def __init__(self, artifact: Artifact, signs: Signs) -> None:
        library = tvm.runtime.load_module(str(artifact.library))
        inputs = iter(_inputs(artifact.task.key, artifact.signature, signs))
        self._arrays = [
            GuardedArray.allocate(spec.shape, spec.dtype) if spec.is_output else next(inputs)
            for spec in artifact.signature
        ]
        self._outputs = [
            array for array, spec in zip(self._arrays, artifact.signature, strict=True) if spec.is_output
        ]
        if artifact.prepacked:
            self._prepack(library, artifact)
        self._function = library["main_prepacked" if artifact.prepacked else "main"]
        self._arguments = [_tensor(array) for array in self._arrays]
        self._cache_bytes = _cache_bytes(int(str(artifact.task.target.attr("num-cores") or 1)))
        self._weights = [place for place, spec in enumerate(artifact.signature) if spec.is_layout_free]
        self._activations = [
            array
            for array, spec in zip(self._arrays, artifact.signature, strict=True)
            if not spec.is_output and not spec.is_layout_free
        ]

    @property
    def outputs(self) -> list[Array]:
        """The outputs of the last run."""
        return [array.values for array in self._outputs]

    @property
    def intact(self) -> bool:
        """Whether all guards are unchanged."""
        return all(array.intact for array in self._arrays)

    def checked_run(self) -> float:
        """Seconds of one run on outputs marked as unwritten."""
        for array in self._outputs:
            array.fill_with_sentinel()
        start = time.perf_counter()
        self._function(*self._arguments)
        return time.perf_counter() - start

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """A function for a stopwatch: calls the kernel n times in a row, after emptying caches of flush_bytes.

        Each call finds its operands as in a model: inputs just written, by one core; weights that no recent call has
        read, as other weights went through the caches since.
        """
        function, flushed = self._function, np.zeros(flush_bytes, np.uint8)
        arguments = self._arguments_of_calls()
        inputs = [(array.data, array.data.copy()) for array in self._activations]

        def run(number: int) -> float:
            if flush_bytes:
                np.add(flushed, 1, out=flushed)
            secs = 0.0
            for operands in islice(arguments, number):
                for data, values in inputs:
                    data[...] = values
                start = time.perf_counter()
                function(*operands)
                secs += time.perf_counter() - start
            return secs / number

        return run

    def _arguments_of_calls(self) -> Iterator[list[tvm.runtime.Tensor]]:
        """The arguments of one call after the other; weights are copied only once there is a call."""
        turns = with_cold_weights(self._arrays, self._weights, self._cache_bytes)
        yield from cycle([[_tensor(array) for array in turn] for turn in turns])

    def forget_inputs(self) -> None:
        """Has the inputs drawn again for the next kernel."""
        _inputs.cache_clear()

    def _prepack(self, library: tvm.runtime.Module, artifact: Artifact) -> None:
        weights = [self._arrays[weight.parameter] for weight in artifact.prepacked]
        layouts = [GuardedArray.allocate(weight.shape, weight.dtype) for weight in artifact.prepacked]
        for layout in layouts:
            layout.fill_with_sentinel()
        library["main_weight_prepack"](*(_tensor(array) for array in [*weights, *layouts]))
        for weight, layout in zip(artifact.prepacked, layouts, strict=True):
            self._arrays[weight.parameter] = layout


@lru_cache(maxsize=1)
def _cache_bytes(cores: int) -> int:
    """The caches of so many cores, and the one that they share: the weights of a model that has large ones do not stay
    there from call to call, and those of a model of small ones do, of which there are not enough copies to fill it."""
    sizes = cache_bytes()
    return sizes.get((2, "Unified"), 0) * cores + sizes.get((3, "Unified"), 0)


def _tensor(array: GuardedArray) -> tvm.runtime.Tensor:
    """A TVM tensor of the array's own memory; through bytes, because NumPy's DLPack knows no bfloat16."""
    return tvm.runtime.from_dlpack(array.data)._create_view(array.shape, array.dtype)


# One task's inputs are kept, as a batch is of one task as a rule: memory stays flat.
@lru_cache(maxsize=1)
def _inputs(task_key: str, signature: Sequence[TensorSpec], signs: Signs) -> list[GuardedArray]:
    return [GuardedArray.holding(values) for values in draw_inputs(task_key, signature, signs)]
