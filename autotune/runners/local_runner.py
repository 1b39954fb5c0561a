"""A runner for kernels on this machine, its CPU or a GPU: one worker process, one trial at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.machine.allowance import read_allowance
from autotune.measurement.cpu_kernel import try_on_cpu
from autotune.measurement.kernel_trial import TrialOptions
from autotune.measurement.local_reference import thread_speedup, time_reference_kernel
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.drift import DriftMonitor
from autotune.runners.references import References
from autotune.runners.runner import Outcome, TrialLimits, failed, note_best
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.room import require_storage, scratch_folder
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError
from search_spaces.target import Target
from tuning_logs.records.measurement import Check, Failure, FailureKind, Measurement

_GIB = 1 << 30
# Trials between two times of the reference kernel: they share a slowdown.
_GROUP = 8
_REFERENCE_SECS = 30.0


@dataclass(frozen=True, slots=True)
class KernelProgram:
    """The program of the worker process that runs one kind of kernel.

    try_kernel:       measures an artifact in that process, whose module the process imports first;
    environment:      variables of the process;
    cores:            so many processor cores, all together, no kernel outruns;
    reference:        a call that times the reference kernel on the device; None where none is timed;
    reference_target: of a processor, whose threads the reference kernel compares;
    is_spoilt_by_errors: whether a kernel's error leaves the process a device on which no other runs.
    """

    try_kernel: Callable[[Artifact, TrialOptions], tuple[Measurement, Check | None]]
    environment: Mapping[str, str]
    cores: int
    reference: Call | None = None
    reference_target: Target | None = None
    is_spoilt_by_errors: bool = False


def cpu_program(device: Device) -> KernelProgram:
    """Kernels on this machine's CPU, with the device's threads."""
    reference = Call(time_reference_kernel, (device.target,))
    return KernelProgram(try_on_cpu, kernel_threads(device.threads), device.threads, reference, device.target)


class LocalRunner(Closeable):
    """Runs kernels in one warm worker process of this machine.

    program: of that process, by default for the CPU;
    server:  forks it, by default one of the runner's own.

    The reference kernel is timed after every eight trials, which are told to have run with the device's slowdown then.
    """

    def __init__(
        self,
        device: Device,
        stopwatch: Stopwatch | None = None,
        limits: TrialLimits | None = None,
        program: KernelProgram | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self._program = program or cpu_program(device)
        self._stopwatch = stopwatch or Stopwatch()
        self._limits = limits or TrialLimits()
        self._drift = DriftMonitor()
        #: The last time of the reference kernel, None before the first and where none is timed.
        self.reference_secs: float | None = None
        self._references = References()
        self._scratch = scratch_folder("autotune-run-")
        memory_bytes = self._limits.memory_bytes or read_allowance().memory_bytes // 2
        recycle_bytes = min(2 * _GIB, memory_bytes // 2)
        needs = WorkerNeeds(
            self._program.try_kernel.__module__, self._program.environment, Path(self._scratch.name)
        )
        self._pool = WorkerPool(1, needs, memory_bytes, recycle_bytes, server)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return self._pool.pids

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """Measures one artifact after the other.

        Within the call, each task's best_secs follows the best seen. Raises AutotuneError where a task's
        untuned program has never run: measure the space's default config first; and StorageError where the disk with
        the reference outputs is full or fails.
        """
        if artifacts and self._drift.baseline_secs is None:
            self._time_reference()
        best = {artifact.task.key: best_secs for artifact in artifacts}
        outcomes: list[Outcome] = []
        for first in range(0, len(artifacts), _GROUP):
            group = [self._run(artifact, best) for artifact in artifacts[first : first + _GROUP]]
            slowdown = self._time_reference()
            outcomes.extend(replace(outcome, slowdown=slowdown) for outcome in group)
        return outcomes

    def thread_speedup(self) -> float:
        """The speedup of the reference kernel on the worker's threads over one of them.

        Raises AutotuneError where the kernel does not run at all.
        """
        target = self._program.reference_target
        [reply] = self._pool.map([(Call(thread_speedup, (target,)), _REFERENCE_SECS)])
        if isinstance(reply, Returned):
            return float(reply.value)
        raise AutotuneError(
            f"expected a small matmul to run, found {reply.message}; check that the target fits the processor: "
            f"{target}",
            code="AT408",
        )

    def close(self) -> None:
        """Ends the worker process and deletes the reference outputs."""
        self._pool.close()
        self._scratch.cleanup()

    def _time_reference(self) -> float:
        """The device's slowdown now; as it was before, where the worker was killed meanwhile."""
        if self._program.reference is None:
            return 1.0
        [reply] = self._pool.map([(self._program.reference, _REFERENCE_SECS)])
        if not isinstance(reply, Returned):
            return self._drift.slowdown
        self.reference_secs = float(reply.value)
        return self._drift.observe(self.reference_secs)

    def _run(self, artifact: Artifact, best: dict[str, float]) -> Outcome:
        key = artifact.task.key
        failure = self._references.unchecked(artifact)
        if failure is not None:
            return Outcome(failure, None)
        options = TrialOptions(Path(self._scratch.name, key), self._stopwatch, best[key], self._program.cores)
        call = Call(self._program.try_kernel, (artifact, options))
        [reply] = self._pool.map([(call, self._limits.secs_for(artifact))])
        outcome = Outcome(*reply.value) if isinstance(reply, Returned) else failed(artifact, reply)
        if isinstance(outcome.measurement, Failure):
            require_storage(outcome.measurement.message, Path(self._scratch.name))
            if self._program.is_spoilt_by_errors and outcome.measurement.kind is FailureKind.RUN_ERROR:
                self._pool.renew()
        self._references.note(artifact, outcome)
        note_best(best, artifact, outcome)
        return outcome
