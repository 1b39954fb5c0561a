"""The results of a job in numbers, from its status and its log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from autotune.devices.roofline import ideal
from autotune.jobs.status import DeviceStatus, JobStatus, ModelStatus, TaskStatus
from cost_models.evaluation.over_trials import quality_over_trials
from search_spaces import TuningTask
from tuning_logs import Failure, RecordStore, Timing, TuningRecord

# Tasks for which the cost model's quality is looked at: those with the most time in them.
_JUDGED_TASKS = 4
_MESSAGES = 3


class OperatorReport(msgspec.Struct, frozen=True):
    """One task on one device, alone.

    share:           its part of the estimated time of all tasks of the device, as they are now;
    gain:            how many times faster its best candidate is than its default schedule;
    peak_share:      its ideal time, by the measured roofline, over its best; above 1 where it works in caches that
                     are faster than what was measured;
    intensity:       floating-point operations for each byte of inputs and outputs; bound: "memory" or "compute";
    schedule:        the schedule that the build uses for it.
    """

    name: str
    key: str
    device: str
    calls: int
    trials: int
    default_secs: float | None
    best_secs: float | None
    winner_p_value: float | None
    share: float
    gain: float | None
    flops_per_sec: float | None
    default_flops_per_sec: float | None
    intensity: float | None
    peak_share: float | None
    bound: str | None
    schedule: str
    improvements: tuple[tuple[int, float], ...]


class Curve(msgspec.Struct, frozen=True):
    """The sum of a model's tasks over the time of the job: (seconds since its start, seconds of latency)."""

    model: str
    device: str
    points: tuple[tuple[float, float], ...]


class OperatorQuality(msgspec.Struct, frozen=True):
    """The cost model's ranking accuracy on the next trials of a task: (trials, accuracy); 0.5 is luck."""

    task: str
    points: tuple[tuple[int, float], ...]


class FailureReport(msgspec.Struct, frozen=True):
    """One kind of failure: how often, and the messages met most."""

    kind: str
    count: int
    messages: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """The results of a job: operators, curves, cost model quality and failures, with the job's status."""

    status: JobStatus
    operators: tuple[OperatorReport, ...]
    curves: tuple[Curve, ...]
    quality: tuple[OperatorQuality, ...]
    failures: tuple[FailureReport, ...]


def make_report(status: JobStatus, log: RecordStore, moved_bytes: Callable[[TuningTask], int]) -> Report:
    """Gathers the numbers. moved_bytes: the size of a task's inputs and outputs."""
    tasks = {(task.key, str(task.target)): task for task in log.tasks()}
    fingerprints = {device.key: device for device in log.devices()}
    operators: list[OperatorReport] = []
    curves: list[Curve] = []
    quality: list[OperatorQuality] = []
    failures: list[TuningRecord] = []
    for device in status.devices:
        own = [one for one in status.tasks if one.device == device.connection]
        known = {one.key: tasks[one.key, device.target] for one in own if (one.key, device.target) in tasks}
        fingerprint = fingerprints.get(device.fingerprint)
        found = {key: log.where(task=task, device=fingerprint) for key, task in known.items()}
        source = _DeviceSource(device, status, known, found, moved_bytes)
        operators += [source.operator(one) for one in own]
        curves += [_curve(model, device, status, found) for model in status.models if _is_on(model, device)]
        heaviest = sorted(own, key=lambda one: -one.calls * (one.best_secs or 0.0))[:_JUDGED_TASKS]
        judged = [(one.name, quality_over_trials(_once(found.get(one.key, [])))) for one in heaviest]
        quality += [OperatorQuality(name, tuple(points)) for name, points in judged if points]
        failures += [one for records in found.values() for one in records if _is_own(one, status)]
    return Report(
        status,
        tuple(sorted(operators, key=lambda one: -one.share)),
        tuple(curve for curve in curves if curve.points),
        tuple(quality),
        _failures(failures),
    )


@dataclass(frozen=True)
class _DeviceSource:
    """The numbers of one device: its status, and its tasks and records in the log by the task's key."""

    device: DeviceStatus
    status: JobStatus
    tasks: Mapping[str, TuningTask]
    records: Mapping[str, Sequence[TuningRecord]]
    moved_bytes: Callable[[TuningTask], int]

    def operator(self, one: TaskStatus) -> OperatorReport:
        """The report of one task of the device."""
        flops = one.flops if one.best_secs else 0.0
        best, default, total_secs = one.best_secs, one.default_secs, self._total_secs
        limit = None
        if self.device.roofline is not None and one.key in self.tasks:
            limit = ideal(self.device.roofline, one.flops, self.moved_bytes(self.tasks[one.key]))
        return OperatorReport(
            name=one.name,
            key=one.key,
            device=one.device,
            calls=one.calls,
            trials=one.trials,
            default_secs=default,
            best_secs=best,
            winner_p_value=one.winner_p_value,
            share=one.calls * best / total_secs if best and total_secs else 0.0,
            gain=default / best if default and best else None,
            flops_per_sec=flops / best if best else None,
            default_flops_per_sec=flops / default if default else None,
            intensity=limit.intensity if limit else None,
            peak_share=limit.secs / best if limit and best else None,
            bound=("memory" if limit.is_bound_by_memory else "compute") if limit else None,
            schedule=_schedule(one, self.status.models),
            improvements=_improvements(self.records.get(one.key, [])),
        )

    @property
    def _total_secs(self) -> float:
        own = (one for one in self.status.tasks if one.device == self.device.connection)
        return sum(one.calls * (one.best_secs or 0.0) for one in own)


def _schedule(one: TaskStatus, models: Sequence[ModelStatus]) -> str:
    found = [
        f"{operator.status}: {operator.reason}" if operator.reason else operator.status
        for model in models
        if model.device == one.device
        for operator in model.operators
        if operator.key == one.key
    ]
    return ", ".join(dict.fromkeys(found)) or "not built"


def _improvements(records: Sequence[TuningRecord]) -> tuple[tuple[int, float], ...]:
    """(trials, best seconds) wherever the best fell, the baseline being trial 0."""
    found: list[tuple[int, float]] = []
    for trial, record in enumerate(_once(records)):
        if record.secs < (found[-1][1] if found else math.inf):
            found.append((trial, record.secs))
    return tuple(found)


def _once(records: Sequence[TuningRecord]) -> list[TuningRecord]:
    """The first record of each config: finalists have several."""
    return list({record.config: record for record in reversed(records)}.values())[::-1]


def _curve(
    model: ModelStatus, device: DeviceStatus, status: JobStatus, found: dict[str, list[TuningRecord]]
) -> Curve:
    calls = dict(model.calls)
    records = sorted(
        (one for key in calls for one in found.get(key, []) if isinstance(one.measurement, Timing)),
        key=lambda one: one.provenance.time,
    )
    starts = _starts(status)
    best: dict[str, float] = {}
    points: list[tuple[float, float]] = []
    for record in records:
        key = record.task.key
        if record.secs >= best.get(key, math.inf):
            continue
        best[key] = record.secs
        if len(best) == len(calls):
            latency = sum(count * best[each] for each, count in calls.items())
            points.append((_job_secs(record, starts, status), latency))
    if points:
        points.append((max(status.secs, points[-1][0]), points[-1][1]))
    return Curve(model.name, device.connection, tuple(points))


def _starts(status: JobStatus) -> list[tuple[str, float]]:
    """The start of each run of the job, with the seconds that the runs before it took."""
    starts, spent = [], 0.0
    for run in status.runs:
        starts.append((run.started, spent))
        spent += run.secs
    return starts


def _job_secs(record: TuningRecord, starts: Sequence[tuple[str, float]], status: JobStatus) -> float:
    """The time of a record in seconds of the job's own time; 0 for records from before the job."""
    if not _is_own(record, status):
        return 0.0
    at = record.provenance.time
    began, spent = [start for start in starts if start[0] <= at][-1] if starts[0][0] <= at else starts[0]
    return spent + max((datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds(), 0.0)


def _failures(records: Sequence[TuningRecord]) -> tuple[FailureReport, ...]:
    failed = [one.measurement for one in records if isinstance(one.measurement, Failure)]
    kinds = Counter(str(failure.kind) for failure in failed)
    messages = {
        kind: Counter(one.message[:300] for one in failed if str(one.kind) == kind).most_common(_MESSAGES)
        for kind in kinds
    }
    return tuple(
        FailureReport(kind, count, tuple(message for message, _ in messages[kind]))
        for kind, count in kinds.most_common()
    )


def _is_own(record: TuningRecord, status: JobStatus) -> bool:
    return record.provenance.job.id.startswith(status.run_prefix)


def _is_on(model: ModelStatus, device: DeviceStatus) -> bool:
    return model.device == device.connection
