"""One trial of a compiled kernel: prepack, run, check against the reference, time (imports TVM).

Runs in a worker process whose environment fixes the threads of TVM's pool.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tvm

from autotune.artifact import Artifact
from autotune.comparison import compare, is_float
from autotune.operands import Array, GuardedArray, Signs, draw_inputs
from autotune.stopwatch import Stopwatch
from search_spaces.modules import TensorSpec
from tuning_logs.measurement import Check, Failure, FailureKind, Measurement, Timing

# Beyond any core of today: two 512-bit multiply-adds at 8 GHz; matrix units do 16 times that on narrow types.
_PEAK_FLOPS = 512e9
_PEAK_NARROW_FLOPS = 16 * _PEAK_FLOPS
_OVERRUN = "the kernel writes outside its buffers"
_OUT_OF_MEMORY = ("bad_alloc", "out of memory", "cannot allocate", "unable to allocate", "memoryerror")


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What a trial needs to know besides the artifact.

    reference: a directory with the reference outputs of the task; the first trial of a reference artifact
               writes it.
    """

    reference: Path
    stopwatch: Stopwatch
    best_secs: float
    threads: int


def warm_up() -> None:
    """Nothing but the imports of this module."""


def try_kernel(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    """Measures an artifact; what the kernel did wrong is in the Failure, not in an exception."""
    try:
        writes_reference = artifact.is_reference and not options.reference.exists()
        if writes_reference:
            return _try_reference(artifact, options)
        return _try(artifact, options, _signs(options.reference))
    except Exception as error:  # noqa: BLE001 - whatever TVM makes of a kernel that cannot run
        text = f"{type(error).__name__}: {error}".strip()
        exhausted = any(sign in text.lower() for sign in _OUT_OF_MEMORY)
        kind = FailureKind.OUT_OF_MEMORY if exhausted else FailureKind.RUN_ERROR
        return Failure(kind, text[-2000:], artifact.build_secs), None


def _try_reference(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    for signs in Signs:
        kernel = _Kernel(artifact, signs)
        first_secs = kernel.checked_run()
        outputs = [array.values for array in kernel.outputs]
        if not any(np.isnan(values).any() for values in outputs if is_float(str(values.dtype))):
            break
    if not kernel.intact:
        return _wrong(artifact, _OVERRUN), None
    _store_reference(options.reference, signs, kernel.outputs)
    return _time(artifact, options, kernel, first_secs), None


def _try(artifact: Artifact, options: TrialOptions, signs: Signs) -> tuple[Measurement, Check | None]:
    kernel = _Kernel(artifact, signs)
    first_secs = kernel.checked_run()
    check, mistake = _examine(artifact, options, kernel)
    if mistake is not None:
        return _wrong(artifact, mistake), check
    measured = _time(artifact, options, kernel, first_secs)
    if isinstance(measured, Timing) and measured.secs < options.best_secs:
        # A new best must also be right the last time it ran: a race in it may have been lucky the first time.
        check, mistake = _examine(artifact, options, kernel)
    elif not kernel.intact:
        mistake = _OVERRUN
    return (measured if mistake is None else _wrong(artifact, mistake)), check


def _examine(artifact: Artifact, options: TrialOptions, kernel: _Kernel) -> tuple[Check, str | None]:
    elements = sum(math.prod(array.shape) for array in kernel.outputs)
    reduction_length = artifact.task.workload.flops / (2 * max(elements, 1))
    references = _reference(options.reference, artifact.signature)
    found = [
        compare(array.values, reference, reduction_length)
        for array, reference in zip(kernel.outputs, references, strict=True)
    ]
    check = Check(
        max((one.check.max_abs_error for one in found), default=0.0),
        max((one.check.max_rel_error for one in found), default=0.0),
    )
    if not kernel.intact:
        return check, _OVERRUN
    return check, next((one.mistake for one in found if one.mistake), None)


def _time(artifact: Artifact, options: TrialOptions, kernel: _Kernel, first_secs: float) -> Measurement:
    run = kernel.timed_run(options.stopwatch.flush_bytes)
    reading = options.stopwatch.read(first_secs, run, options.best_secs)
    timing = Timing(reading.run_secs, artifact.build_secs, reading.censored)
    least_secs = _least_secs(artifact, options.threads)
    if not timing.secs > least_secs:
        message = f"implausible: {timing.secs:.3g} s, where any processor needs {least_secs:.3g} s"
        return Failure(FailureKind.RUN_ERROR, message, artifact.build_secs)
    return timing


def _least_secs(artifact: Artifact, threads: int) -> float:
    narrow = any(np.dtype(spec.dtype).itemsize <= 2 for spec in artifact.signature)
    return artifact.task.workload.flops / (threads * (_PEAK_NARROW_FLOPS if narrow else _PEAK_FLOPS))


def _wrong(artifact: Artifact, mistake: str) -> Failure:
    # A kernel that writes where it should not may have spoilt the inputs, too.
    _inputs.cache_clear()
    return Failure(FailureKind.WRONG_RESULT, mistake, artifact.build_secs)


class _Kernel:
    """A loaded library with its operands, weights already prepacked."""

    def __init__(self, artifact: Artifact, signs: Signs) -> None:
        library = tvm.runtime.load_module(str(artifact.library))
        inputs = iter(_inputs(artifact.task.key, artifact.signature, signs))
        self._arrays = [
            GuardedArray.allocate(spec.shape, spec.dtype) if spec.is_output else next(inputs)
            for spec in artifact.signature
        ]
        self.outputs = [
            array for array, spec in zip(self._arrays, artifact.signature, strict=True) if spec.is_output
        ]
        if artifact.prepacked:
            self._prepack(library, artifact)
        self._function = library["main_prepacked" if artifact.prepacked else "main"]
        self._arguments = [_tensor(array) for array in self._arrays]

    @property
    def intact(self) -> bool:
        """Whether all guards are as they were."""
        return all(array.intact for array in self._arrays)

    def checked_run(self) -> float:
        """Runs once on outputs marked as unwritten; seconds."""
        for array in self.outputs:
            array.fill_with_sentinel()
        start = time.perf_counter()
        self._function(*self._arguments)
        return time.perf_counter() - start

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """What a stopwatch calls: the kernel n times in a row, after emptying caches of flush_bytes."""
        function, arguments = self._function, self._arguments
        flushed = np.zeros(flush_bytes, np.uint8)

        def run(number: int) -> float:
            if flush_bytes:
                np.add(flushed, 1, out=flushed)
            start = time.perf_counter()
            for _ in range(number):
                function(*arguments)
            return (time.perf_counter() - start) / number

        return run

    def _prepack(self, library: tvm.runtime.Module, artifact: Artifact) -> None:
        weights = [self._arrays[weight.parameter] for weight in artifact.prepacked]
        layouts = [GuardedArray.allocate(weight.shape, weight.dtype) for weight in artifact.prepacked]
        for layout in layouts:
            layout.fill_with_sentinel()
        library["main_weight_prepack"](*(_tensor(array) for array in [*weights, *layouts]))
        for weight, layout in zip(artifact.prepacked, layouts, strict=True):
            self._arrays[weight.parameter] = layout


def _tensor(array: GuardedArray) -> tvm.runtime.Tensor:
    """The array itself, not a copy, for TVM; through bytes, because NumPy's DLPack knows no bfloat16."""
    return tvm.runtime.from_dlpack(array.data)._create_view(array.shape, array.dtype)


# A batch is of one task as a rule, so what is kept is one task's: memory stays flat.
@lru_cache(maxsize=1)
def _inputs(task_key: str, signature: Sequence[TensorSpec], signs: Signs) -> list[GuardedArray]:
    return [GuardedArray.holding(values) for values in draw_inputs(task_key, signature, signs)]


def _store_reference(directory: Path, signs: Signs, outputs: Sequence[GuardedArray]) -> None:
    unfinished = directory.with_suffix(".unfinished")
    unfinished.mkdir(exist_ok=True)
    (unfinished / "signs.json").write_text(json.dumps(signs))
    for index, array in enumerate(outputs):
        np.save(unfinished / f"{index}.npy", array.data)
    unfinished.rename(directory)


def _signs(directory: Path) -> Signs:
    return Signs(json.loads((directory / "signs.json").read_text()))


@lru_cache(maxsize=1)
def _reference(directory: Path, signature: Sequence[TensorSpec]) -> list[Array]:
    outputs = [spec for spec in signature if spec.is_output]
    return [
        np.load(directory / f"{index}.npy").view(np.dtype(spec.dtype)).reshape(spec.shape)
        for index, spec in enumerate(outputs)
    ]
