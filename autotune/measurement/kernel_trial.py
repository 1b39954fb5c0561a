"""A trial of a compiled kernel on any device: run, check of the outputs, timing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from autotune.builders.artifact import Artifact
from autotune.measurement.guarded_array import Array
from autotune.measurement.inputs import Signs
from autotune.measurement.output_check import compare, is_float
from autotune.measurement.stopwatch import Stopwatch
from autotune.workers.memory_shortage import is_memory_shortage
from search_spaces.tensor_ir.modules import TensorSpec
from tuning_logs.records.measurement import Check, Failure, FailureKind, Measurement, Timing

# Beyond any core of today: two 512-bit multiply-adds at 8 GHz; matrix units do 16 times that on narrow types.
_PEAK_FLOPS = 512e9
_PEAK_NARROW_FLOPS = 16 * _PEAK_FLOPS
_OVERRUN = "the kernel writes outside its buffers"


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """Options of a trial.

    reference: a directory with the task's reference outputs, written by the first trial of a reference artifact;
    best_secs: the best latency of the task so far;
    threads:   processor cores that bound the latency from below.
    """

    reference: Path
    stopwatch: Stopwatch
    best_secs: float
    threads: int


class Kernel(Protocol):
    """A loaded kernel with its operands and prepacked weights."""

    @property
    def outputs(self) -> list[Array]:
        """The outputs of the last run."""
        ...

    @property
    def intact(self) -> bool:
        """Whether the guards around the operands are unchanged, as far as the device has any."""
        ...

    def checked_run(self) -> float:
        """Seconds of one run on outputs marked as unwritten."""
        ...

    def timed_run(self, flush_bytes: int) -> Callable[[int], float]:
        """A function for a stopwatch: calls the kernel n times in a row, after emptying caches of flush_bytes."""
        ...

    def forget_inputs(self) -> None:
        """Drops the inputs, which the kernel may have overwritten."""
        ...


#: Makes the kernel of an artifact, with inputs drawn from these signs.
OpenKernel = Callable[[Artifact, Signs], Kernel]


def try_kernel(
    artifact: Artifact, options: TrialOptions, open_kernel: OpenKernel
) -> tuple[Measurement, Check | None]:
    """Measures an artifact; a kernel that fails makes a Failure, never an exception."""
    try:
        writes_reference = artifact.is_reference and not options.reference.exists()
        if writes_reference:
            return _try_reference(artifact, options, open_kernel)
        return _try(artifact, options, open_kernel(artifact, _signs(options.reference)))
    except Exception as error:  # noqa: BLE001 - whatever TVM makes of a kernel that cannot run
        text = f"{type(error).__name__}: {error}".strip()
        kind = FailureKind.OUT_OF_MEMORY if is_memory_shortage(text) else FailureKind.RUN_ERROR
        return Failure(kind, text[-2000:], artifact.build_secs), None


def _try_reference(
    artifact: Artifact, options: TrialOptions, open_kernel: OpenKernel
) -> tuple[Measurement, Check | None]:
    for signs in Signs:
        kernel = open_kernel(artifact, signs)
        first_secs = kernel.checked_run()
        outputs = kernel.outputs
        if not any(np.isnan(values).any() for values in outputs if is_float(str(values.dtype))):
            break
    if not kernel.intact:
        return _wrong(artifact, kernel, _OVERRUN), None
    _store_reference(options.reference, signs, outputs)
    return _time(artifact, options, kernel, first_secs), None


def _try(artifact: Artifact, options: TrialOptions, kernel: Kernel) -> tuple[Measurement, Check | None]:
    first_secs = kernel.checked_run()
    check, mistake = _examine(artifact, options, kernel)
    if mistake is not None:
        return _wrong(artifact, kernel, mistake), check
    measured = _time(artifact, options, kernel, first_secs)
    if isinstance(measured, Timing) and measured.secs < options.best_secs:
        # A new best must also be right the last time it ran: a race in it may have been lucky the first time.
        check, mistake = _examine(artifact, options, kernel)
    elif not kernel.intact:
        mistake = _OVERRUN
    return (measured if mistake is None else _wrong(artifact, kernel, mistake)), check


def _examine(artifact: Artifact, options: TrialOptions, kernel: Kernel) -> tuple[Check, str | None]:
    outputs = kernel.outputs
    elements = sum(math.prod(values.shape) for values in outputs)
    reduction_length = artifact.task.workload.flops / (2 * max(elements, 1))
    references = _reference(options.reference, artifact.signature)
    found = [
        compare(values, reference, reduction_length)
        for values, reference in zip(outputs, references, strict=True)
    ]
    check = Check(
        max((one.check.max_abs_error for one in found), default=0.0),
        max((one.check.max_rel_error for one in found), default=0.0),
    )
    if not kernel.intact:
        return check, _OVERRUN
    return check, next((one.mistake for one in found if one.mistake), None)


def _time(artifact: Artifact, options: TrialOptions, kernel: Kernel, first_secs: float) -> Measurement:
    run = kernel.timed_run(options.stopwatch.flush_bytes)
    reading = options.stopwatch.read(first_secs, run, options.best_secs)
    timing = Timing(reading.run_secs, artifact.build_secs, reading.censored)
    bound_secs = least_secs(artifact, options.threads)
    if not timing.secs > bound_secs:
        message = f"implausible: {timing.secs:.3g} s, where any processor needs {bound_secs:.3g} s"
        return Failure(FailureKind.RUN_ERROR, message, artifact.build_secs)
    return timing


def least_secs(artifact: Artifact, threads: int) -> float:
    """Seconds that an artifact takes at least on so many processor cores, whatever they are."""
    narrow = any(np.dtype(spec.dtype).itemsize <= 2 for spec in artifact.signature)
    return artifact.task.workload.flops / (threads * (_PEAK_NARROW_FLOPS if narrow else _PEAK_FLOPS))


def _wrong(artifact: Artifact, kernel: Kernel, mistake: str) -> Failure:
    # A kernel that writes where it should not may have spoilt the inputs, too.
    kernel.forget_inputs()
    return Failure(FailureKind.WRONG_RESULT, mistake, artifact.build_secs)


def _store_reference(directory: Path, signs: Signs, outputs: Sequence[Array]) -> None:
    unfinished = directory.with_suffix(".unfinished")
    unfinished.mkdir(exist_ok=True)
    (unfinished / "signs.json").write_text(json.dumps(signs))
    for index, values in enumerate(outputs):
        np.save(unfinished / f"{index}.npy", np.ascontiguousarray(values).reshape(-1).view(np.uint8))
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
