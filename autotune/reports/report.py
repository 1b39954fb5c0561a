"""The results of a job in numbers, from its status and the history of its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from autotune.devices.roofline import ideal
from autotune.jobs.status import DeviceStatus, JobStatus, ModelStatus, TaskStatus
from tuning_logs.selection.improvements import Improvement


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


#: A task on a device: the device's connection and the task's key.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of a report that comes from the log: of each task on each device the improvements, and the bytes of
    inputs and outputs where they are known; the cost model's quality; the failures."""

    improvements: Mapping[Place, Sequence[Improvement]]
    moved_bytes: Mapping[Place, int]
    quality: tuple[OperatorQuality, ...] = ()
    failures: tuple[FailureReport, ...] = ()


def assemble(status: JobStatus, evidence: Evidence) -> Report:
    """The report of a job from its status and what its log says."""
    operators: list[OperatorReport] = []
    curves: list[Curve] = []
    for device in status.devices:
        own = [one for one in status.tasks if one.device == device.connection]
        total_secs = sum(one.calls * (one.best_secs or 0.0) for one in own)
        schedules = _schedules(device, status.models)
        for one in own:
            source = _Source(one, device, total_secs, schedules.get(one.key, "not built"))
            operators.append(source.operator(evidence))
        curves += [_curve(model, status, evidence) for model in status.models if _is_on(model, device)]
    return Report(
        status,
        tuple(sorted(operators, key=lambda one: -one.share)),
        tuple(curve for curve in curves if curve.points),
        evidence.quality,
        evidence.failures,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """A task of a device whose tasks take total_secs, with the schedule that the build uses for it."""

    task: TaskStatus
    device: DeviceStatus
    total_secs: float
    schedule: str

    def operator(self, evidence: Evidence) -> OperatorReport:
        """The report of the task."""
        one, place = self.task, (self.task.device, self.task.key)
        flops = one.flops if one.best_secs else 0.0
        best, default = one.best_secs, one.default_secs
        moved_bytes = evidence.moved_bytes.get(place)
        limit = None
        if self.device.roofline is not None and moved_bytes is not None:
            limit = ideal(self.device.roofline, one.flops, moved_bytes)
        return OperatorReport(
            name=one.name,
            key=one.key,
            device=one.device,
            calls=one.calls,
            trials=one.trials,
            default_secs=default,
            best_secs=best,
            winner_p_value=one.winner_p_value,
            share=one.calls * best / self.total_secs if best and self.total_secs else 0.0,
            gain=default / best if default and best else None,
            flops_per_sec=flops / best if best else None,
            default_flops_per_sec=flops / default if default else None,
            intensity=limit.intensity if limit else None,
            peak_share=limit.secs / best if limit and best else None,
            bound=("memory" if limit.is_bound_by_memory else "compute") if limit else None,
            schedule=self.schedule,
            improvements=tuple((each.trial, each.secs) for each in evidence.improvements.get(place, ())),
        )


def _schedules(device: DeviceStatus, models: Sequence[ModelStatus]) -> dict[str, str]:
    """The schedules that the builds of a device use, by the key of the task."""
    found: dict[str, dict[str, None]] = {}
    for model in models:
        for operator in model.operators if _is_on(model, device) else ():
            text = f"{operator.status}: {operator.reason}" if operator.reason else operator.status
            found.setdefault(operator.key or "", {})[text] = None
    return {key: ", ".join(texts) for key, texts in found.items()}


def _curve(model: ModelStatus, status: JobStatus, evidence: Evidence) -> Curve:
    calls = model.calls
    improvements = sorted(
        (
            (each.time, key, each)
            for key in calls
            for each in evidence.improvements.get((model.device, key), ())
        ),
        key=lambda one: one[0],
    )
    starts = _starts(status)
    best: dict[str, float] = {}
    latency = 0.0
    points: list[tuple[float, float]] = []
    for _, key, each in improvements:
        latency += calls[key] * (each.secs - best.get(key, 0.0))
        best[key] = each.secs
        if len(best) == len(calls):
            points.append((_job_secs(each, starts, status), latency))
    if points:
        points.append((max(status.secs, points[-1][0]), points[-1][1]))
    return Curve(model.name, model.device, tuple(points))


def _starts(status: JobStatus) -> list[tuple[str, float]]:
    """The start of each run of the job, with the seconds that the runs before it took."""
    starts, spent = [], 0.0
    for run in status.runs:
        starts.append((run.started, spent))
        spent += run.secs
    return starts


def _job_secs(one: Improvement, starts: Sequence[tuple[str, float]], status: JobStatus) -> float:
    """The time of a record in seconds of the job's own time; 0 for records from before the job."""
    if not starts or not one.job.startswith(status.run_prefix):
        return 0.0
    at = one.time
    began, spent = [start for start in starts if start[0] <= at][-1] if starts[0][0] <= at else starts[0]
    try:
        since = datetime.fromisoformat(at) - datetime.fromisoformat(began)
    except (ValueError, TypeError):  # a log may hold any text as a time
        return spent
    return spent + max(since.total_seconds(), 0.0)


def _is_on(model: ModelStatus, device: DeviceStatus) -> bool:
    return model.device == device.connection
