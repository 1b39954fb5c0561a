"""Running artifacts on this machine's CPU: one at a time, checked against the untuned program, timed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.measurement.cpu_kernel import try_on_cpu
from autotune.measurement.kernel_trial import TrialOptions
from autotune.measurement.local_reference import pulse, thread_speedup
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.drift import DriftMonitor
from autotune.runners.runner import Outcome, failed, note_best, unchecked
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Reply, Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError
from tuning_logs.records.measurement import Failure, Measurement, Timing

_GIB = 1 << 30

# Trials between two pulses: what has to be measured anew where the machine was slow meanwhile.
_TRIALS_A_PULSE = 8

_PULSE_SECS = 30.0

# How long a machine that is slow is waited for, and which share of the runner's life that may take.
_PAUSES_SECS = (0.25, 1.0)

_WAITING_SHARE = 0.1


class LocalRunner(Closeable):
    """Runs on this machine's CPU, in one warm worker process with the device's number of threads.

    timeout_secs:           what one candidate may take, checks and repeats together;
    reference_timeout_secs: the same for the untuned program, which may be a thousand times slower;
    memory_bytes:           what the process may use, by default half of this machine's memory;
    server:                 what starts the process, by default one of the runner's own.

    drift:                   what is told of the machine's own speed, which is looked at every eight trials; what was
                            measured while the machine was slow is measured anew, or else counted as in doubt.

    The first reference artifact of a task sets the outputs that its other candidates are held against.
    """

    _trial: ClassVar[Callable[..., object]] = staticmethod(try_on_cpu)

    def __init__(
        self,
        device: Device,
        stopwatch: Stopwatch | None = None,
        timeout_secs: float = 10.0,
        reference_timeout_secs: float = 300.0,
        memory_bytes: int | None = None,
        drift: DriftMonitor | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self.drift = drift or DriftMonitor()
        self._started = time.monotonic()
        self._waited_secs = 0.0
        self._target = device.target
        self._threads = device.threads
        self._stopwatch = stopwatch or Stopwatch()
        self._timeout_secs = timeout_secs
        self._reference_timeout_secs = reference_timeout_secs
        #: For each task whose untuned program was measured, how that failed, if it did.
        self._references: dict[str, Failure | None] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="autotune-run-")
        memory_bytes = memory_bytes or psutil.virtual_memory().total // 2
        recycle_bytes = min(2 * _GIB, memory_bytes // 2)
        needs = WorkerNeeds(self._trial.__module__, self._environment(), Path(self._scratch.name))
        self._pool = WorkerPool(1, needs, memory_bytes, recycle_bytes, server)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return self._pool.pids

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """Measures one artifact after the other.

        Within the call, each task's best_secs follows the best seen. Raises AutotuneError where a task's
        untuned program has never run: measure the space's default config first.
        """
        outcomes: list[Outcome] = []
        best: dict[str, float] = {}
        if artifacts and self.drift.baseline_secs is None:
            self._take_pulse()
        for first in range(0, len(artifacts), _TRIALS_A_PULSE):
            group = artifacts[first : first + _TRIALS_A_PULSE]
            found = self._run_steadily(group, best_secs, best)
            for artifact, outcome in zip(group, found, strict=True):
                note_best(best, artifact, outcome)
            outcomes.extend(found)
        return outcomes

    def thread_speedup(self) -> float:
        """How many times faster a small kernel is on the worker's threads than on one of them.

        Raises AutotuneError where the kernel does not run at all.
        """
        [reply] = self._pool.map([(Call(thread_speedup, (self._target,)), _PULSE_SECS)])
        if isinstance(reply, Returned):
            return float(reply.value)
        raise AutotuneError(
            f"expected a small matmul to run, found {reply.message}; check that the target fits the processor: "
            f"{self._target}"
        )

    def close(self) -> None:
        """Ends the worker process and deletes the reference outputs."""
        self._pool.close()
        self._scratch.cleanup()

    def _environment(self) -> dict[str, str]:
        return kernel_threads(self._threads)

    def _run_steadily(
        self, artifacts: Sequence[Artifact], best_secs: float, best: Mapping[str, float]
    ) -> list[Outcome]:
        """Measures a few artifacts; once more where the machine was slow meanwhile and has recovered."""
        was_steady = self.drift.is_steady
        outcomes = self._run_each(artifacts, best_secs, best)
        if self._take_pulse():
            return outcomes
        timed = [place for place, one in enumerate(outcomes) if isinstance(one.measurement, Timing)]
        for pause_secs in _PAUSES_SECS if was_steady else ():
            if self._waited_secs + pause_secs > _WAITING_SHARE * (time.monotonic() - self._started):
                break
            self._waited_secs += pause_secs
            time.sleep(pause_secs)
            if not self._take_pulse():
                continue
            again = self._run_each([artifacts[place] for place in timed], best_secs, best)
            for place, outcome in zip(timed, again, strict=True):
                outcomes[place] = outcome
            self.drift.repeated += len(timed)
            if self._take_pulse():
                return outcomes
        for artifact in (artifacts[place] for place in timed):
            self.drift.unsteady[artifact.task.key, artifact.config] = self.drift.slowdown
        return outcomes

    def _run_each(
        self, artifacts: Sequence[Artifact], best_secs: float, best: Mapping[str, float]
    ) -> list[Outcome]:
        seen = dict(best)
        outcomes = []
        for artifact in artifacts:
            outcome = self._run(artifact, min(seen.get(artifact.task.key, math.inf), best_secs))
            note_best(seen, artifact, outcome)
            outcomes.append(outcome)
        return outcomes

    def _take_pulse(self) -> bool:
        """Whether the machine is as fast as usual; a worker that was killed meanwhile tells nothing."""
        [reply] = self._pool.map([(Call(pulse, (self._target,)), _PULSE_SECS)])
        return self.drift.take(reply.value) if isinstance(reply, Returned) else self.drift.is_steady

    def _run(self, artifact: Artifact, best_secs: float) -> Outcome:
        key = artifact.task.key
        failure = unchecked(self._references, artifact)
        if failure is not None:
            return Outcome(failure, None)
        options = TrialOptions(Path(self._scratch.name, key), self._stopwatch, best_secs, self._threads)
        timeout_secs = self._reference_timeout_secs if artifact.is_reference else self._timeout_secs
        [reply] = self._pool.map([(Call(self._trial, (artifact, options)), timeout_secs)])
        outcome = _outcome(artifact, reply)
        if artifact.is_reference:
            self._remember(key, outcome.measurement)
        return outcome

    def _remember(self, key: str, measurement: Measurement) -> None:
        # Outputs once stored stay good, even if the untuned program fails when it is measured again.
        if self._references.get(key, measurement) is not None:
            self._references[key] = measurement if isinstance(measurement, Failure) else None


def _outcome(artifact: Artifact, reply: Reply) -> Outcome:
    if isinstance(reply, Returned):
        measurement, check = reply.value
        return Outcome(measurement, check)
    return failed(artifact, reply)
