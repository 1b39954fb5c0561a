"""An estimate of a job before it runs: trials and time for each task."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import datetime

import msgspec

from autotune.jobs.durations import show_duration
from autotune.jobs.plan import DevicePlan, JobPlan
from autotune.jobs.status import JobStatus
from search_spaces import TuningTask
from search_spaces.printable_text import counted
from tuning_logs import RecordStore
from tuning_logs.address import without_password

# Seconds of a trial, compiling included, where the log does not tell.
_TRIAL_SECS = 0.2
# Operations a second of naive loops and of default schedules, where the log does not tell; how often a baseline is run.
_NAIVE_FLOPS = 1e9
_DEFAULT_SCHEDULE_FLOPS = 1e10
_BASELINE_RUNS = 7
# What is kept for finals; see `TuningJob`.
_SEARCH_SHARE = 0.9


class TaskEstimate(msgspec.Struct, frozen=True):
    """The estimate of one task; None where the budget does not tell.

    known_secs: its best latency in the log; trials, secs: how much search, the baseline included.
    """

    name: str
    key: str
    device: str
    calls: int
    known_secs: float | None
    trials: float | None
    secs: float | None


class JobEstimate(msgspec.Struct, frozen=True):
    """The estimate of a job, its tasks by expected time, the longest first; lines: further facts as text."""

    name: str
    devices: tuple[str, ...]
    secs: float | None
    trials: float | None
    tasks: tuple[TaskEstimate, ...]
    lines: tuple[str, ...]


def estimate(plan: JobPlan, log: RecordStore, earlier: JobStatus | None = None) -> JobEstimate:
    """Spreads the budget over the tasks as the scheduler does in the long run: in proportion to a task's share of its
    model's latency, times the model's priority."""
    budget = plan.request.budget
    spent_secs = sum(run.secs for run in earlier.runs) if earlier else 0.0
    spent_trials = earlier.trials if earlier else 0
    secs = None if budget.secs is None else max(budget.secs - spent_secs, 0.0)
    trials = None if budget.trials is None else max(budget.trials - spent_trials, 0)
    tasks = [one for part in plan.devices for one in _tasks(part, plan.time_share(part), log, secs, trials)]
    found_secs = [one.secs for one in tasks if one.secs is not None]
    found_trials = [one.trials for one in tasks if one.trials is not None]
    lines = [
        f"{model.name} on {part.device.connection}: {counted(len(model.tasks), 'task')}, priority {model.priority:g}"
        for part in plan.devices
        for model in part.models
    ]
    if earlier:
        lines.append(f"goes on: {show_duration(spent_secs)} and {counted(spent_trials, 'trial')} spent")
    if budget.gain_per_hour:
        lines.append(
            f"ends early where another hour is expected to bring less than {budget.gain_per_hour:.1%}"
        )
    lines.append(f"log: {without_password(plan.request.log)}")
    return JobEstimate(
        plan.request.name,
        tuple(part.device.connection for part in plan.devices),
        secs if secs is not None else (sum(found_secs) if found_secs else None),
        sum(found_trials) if found_trials else None,
        tuple(sorted(tasks, key=lambda one: -(one.secs or 0.0))),
        tuple(lines),
    )


def _tasks(
    part: DevicePlan, time_share: float, log: RecordStore, secs: float | None, trials: float | None
) -> list[TaskEstimate]:
    known = {task.key: _known_secs(task, part, log) for task in part.tasks}
    untuned = {task.key: _untuned_secs(task) for task in part.tasks}
    expected = {task.key: known[task.key] or untuned[task.key] for task in part.tasks}
    baselines = {key: _BASELINE_RUNS * each for key, each in untuned.items()}
    weights: dict[str, float] = defaultdict(float)
    for model in part.models:
        total = sum(task.weight * expected[task.key] for task in model.tasks)
        for task in model.tasks:
            weights[task.key] += model.priority * task.weight * expected[task.key] / total
    whole = sum(weights.values())
    trial_secs = _trial_secs(part, log)
    limits = [] if trials is None else [trials * part.share]
    if secs is not None:
        searching = secs * time_share * _SEARCH_SHARE - sum(baselines.values())
        limits.append(max(searching, 0.0) / trial_secs)
    count = min(limits, default=math.inf)
    found = []
    for task in part.tasks:
        own = count * weights[task.key] / whole if math.isfinite(count) else None
        time = None if own is None else baselines[task.key] + own * trial_secs
        found.append(
            TaskEstimate(task.name, task.key, part.device.connection, task.weight, known[task.key], own, time)
        )
    return found


def _untuned_secs(task: TuningTask) -> float:
    rate = _NAIVE_FLOPS if task.target.is_gpu else _DEFAULT_SCHEDULE_FLOPS
    return max(task.workload.flops, 1.0) / rate


def _known_secs(task: TuningTask, part: DevicePlan, log: RecordStore) -> float | None:
    best = log.best(task, part.device.fingerprint)
    return best.secs if best and math.isfinite(best.secs) else None


def _trial_secs(part: DevicePlan, log: RecordStore) -> float:
    """Seconds between two trials of the device's jobs: the mean within runs of trials without a pause."""
    times: dict[str, list[float]] = defaultdict(list)
    for record in log.where(device=part.device.fingerprint):
        at = datetime.fromisoformat(record.provenance.time).timestamp()
        times[record.provenance.job.id].append(at)
    means = [(max(found) - min(found)) / (len(found) - 1) for found in times.values() if len(found) > 16]
    return statistics.median(means) if means and statistics.median(means) > 0 else _TRIAL_SECS
