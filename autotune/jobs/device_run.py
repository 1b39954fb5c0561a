"""One device in a running job: its tuner, its clock, its status."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import msgspec

from autotune.devices.roofline import Roofline, higher
from autotune.jobs.plan import DevicePlan
from autotune.jobs.status import DeviceStatus, JobStatus, ModelStatus, TaskStatus
from autotune.tuning.task_scheduler import TaskProgress
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from autotune.workers.backoff import Backoff
from search_spaces import AutotuneError, TuningTask
from tuning_logs import RecordStore, TuningRecord

# A device that fails is left alone for half a minute, then for longer and longer, and given up after the fifth time.
_BACKOFF = Backoff(first_secs=30.0)
ATTEMPTS = 5


class TurnClock:
    """A stopwatch of a device's own turns, which is stopped while other devices have theirs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    def __call__(self) -> float:
        """Seconds so far."""
        return self._before + (0.0 if self._since is None else self._clock() - self._since)

    def start(self) -> None:
        """Begins a turn, unless one is under way."""
        if self._since is None:
            self._since = self._clock()

    def stop(self) -> None:
        """Ends a turn."""
        self._before, self._since = self(), None


#: Makes the tuner of one device from the job, the log and a clock.
TunerFactory = Callable[[TuningJob, RecordStore, Callable[[], float]], Tuner]


def default_tuner(job: TuningJob, log: RecordStore, clock: Callable[[], float]) -> Tuner:
    """A tuner with the builder and runner of its device."""
    return Tuner(job, log, clock=clock)


@dataclass
class DeviceRun:
    """One device in a running job: its tuner, and the trouble with it; the status is read by `snapshot`.

    moved_bytes: the size of a task's inputs and outputs;
    earlier: the status that the last run of the job left, which counts for what this run has not come to yet;
    rounds:  of the tuner, None before it starts and while the device is left alone;
    trouble: why the device was left alone last; failures: how often in a row, until retry_at (seconds of the run).
    """

    plan: DevicePlan
    clock: TurnClock
    moved_bytes: Callable[[TuningTask], int | None]
    earlier: JobStatus | None = None
    tuner: Tuner | None = None
    rounds: Generator[list[TuningRecord], None, None] | None = None
    roofline: Roofline | None = None
    failures: int = 0
    retry_at: float = 0.0
    trouble: str | None = None
    is_done: bool = False

    def __post_init__(self) -> None:
        device, devices = self.plan.device, self.earlier.devices if self.earlier else ()
        tasks = self.earlier.tasks if self.earlier else ()
        self._known = next((one for one in devices if one.connection == device.connection), None)
        self._moved_bytes: dict[str, int | None] = {}
        self._known_tasks = {one.key: one for one in tasks if one.device == device.connection}
        same_machine = (one.roofline for one in devices if one.fingerprint == device.fingerprint.key)
        self.roofline = self.roofline or next(same_machine, None)

    @property
    def gain_per_hour(self) -> float:
        """The expected gain of another hour as a share of the latency; infinite before it can be told."""
        return self.tuner.forecast.per_hour if self.tuner else math.inf

    @property
    def versions(self) -> dict[str, str]:
        """The versions of packages that measure, empty before the tuner starts."""
        return dict(self.tuner.provenance.versions) if self.tuner else {}

    def set_aside(self, error: AutotuneError, now_secs: float) -> None:
        """Leaves the device alone for a while, and gives it up after the fifth time in a row."""
        self.rounds, self.failures, self.trouble = None, self.failures + 1, str(error)
        self.is_done = self.failures >= ATTEMPTS
        self.retry_at = now_secs + _BACKOFF.pause_secs(self.failures)
        self.clock.stop()

    def note_roofline(self, measured: Roofline) -> None:
        """Takes in a measured roofline; of several the higher counts."""
        self.roofline = higher(self.roofline, measured) if self.roofline else measured

    def snapshot(self) -> DeviceStatus:
        """The device as it stands."""
        device, tuner, known = self.plan.device, self.tuner, self._known
        return DeviceStatus(
            name=device.name,
            connection=device.connection,
            target=str(device.target),
            fingerprint=device.fingerprint.key,
            threads=device.threads,
            facts=dict(device.fingerprint.facts),
            trials=tuner.trials if tuner and tuner.trials else known.trials if known else 0,
            slowdown=tuner.slowdown if tuner else 1.0,
            warning=self._warning(),
            roofline=self.roofline,
            quarantine=self.trouble,
            price_per_hour=device.price_per_hour,
        )

    def _warning(self) -> str | None:
        """A sentence for the user of the threads that are used, of a change of the machine, and of drift."""
        if self.tuner is None:
            return self._known.warning if self._known else self.plan.device.notice
        tuner = self.tuner
        lines = (self.plan.device.notice, tuner.thread_warning, tuner.drift_warning, tuner.worker_warning)
        return "; ".join(line for line in lines if line) or None

    def task_snapshots(self) -> list[TaskStatus]:
        """The tasks of the device as they stand, in the order of the plan."""
        return [self._task(task) for task in self.plan.tasks]

    def estimated(self, name: str, status: ModelStatus) -> ModelStatus:
        """The status of a model with the sums of its tasks' latencies, once all of them have been measured."""
        share = next(model.share for model in self.plan.models if model.name == name)
        progress = {task.key: one for task, one in self.tuner.progress.items()} if self.tuner else {}
        if not all(key in progress for key in share.calls):
            return status
        return msgspec.structs.replace(
            status,
            estimated_secs=share.latency_secs({key: one.best for key, one in progress.items()}),
            estimated_start_secs=share.latency_secs({key: one.default_secs for key, one in progress.items()}),
        )

    def _task(self, task: TuningTask) -> TaskStatus:
        progress = self.tuner.progress.get(task) if self.tuner else None
        final = self.tuner.final_results.get(task) if self.tuner else None
        known = self._known_tasks.get(task.key)
        if progress is None and known is not None:
            return known
        return TaskStatus(
            name=task.name,
            key=task.key,
            device=self.plan.device.connection,
            calls=task.weight,
            flops=task.workload.flops,
            moved_bytes=self._moved(task) if progress else None,
            trials=progress.trials if progress else 0,
            improvements=progress.improvements if progress else 0,
            default_secs=progress.default_secs if progress else None,
            best_secs=progress.best if progress else None,
            winner_p_value=final.p_value if final else None,
            state="winner confirmed" if final else _search_state(task, progress),
        )

    def _moved(self, task: TuningTask) -> int | None:
        if task.key not in self._moved_bytes:
            self._moved_bytes[task.key] = self.moved_bytes(task)
        return self._moved_bytes[task.key]


def _search_state(task: TuningTask, progress: TaskProgress | None) -> str:
    if progress is None:
        return "waiting"
    if not task.weight:
        return "timed only"
    if progress.is_exhausted:
        return "exhausted"
    return "plateaued" if progress.has_plateaued else "searching"
