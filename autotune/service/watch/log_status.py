"""A status in place of the one that a job would have left, from a log alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    ModelStatus,
    RunStatus,
    TaskStatus,
)
from autotune.service.watch.task_groups import TaskGroup
from tuning_logs.selection.task_summary import Pair

_ALL = "all operators of the log"


class LogSpan(msgspec.Struct, frozen=True):
    """The times of a log's first and last record, UTC in ISO 8601, and the seconds between them."""

    first: str = ""
    last: str = ""
    secs: float = 0.0


def status_of_log(name: str, address: str, groups: Sequence[TaskGroup], span: LogSpan) -> JobStatus:
    """The status of a job that measured all records of a log: one model for each device, of all its operators."""
    named = _connections(groups)
    tasks = tuple(_task(one, named[one.pair]) for one in groups)
    devices = {named[one.pair]: one for one in reversed(groups)}
    trials = Counter[str]()
    for one in groups:
        trials[named[one.pair]] += one.summary.records
    return JobStatus(
        name=name,
        run_prefix="",
        state=JobState.STOPPED,
        activity="a log without a job",
        log=address,
        updated=span.last,
        secs=span.secs,
        eta_secs=None,
        budget=BudgetStatus(trials=None, secs=None, gain_per_hour=None),
        trials=trials.total(),
        expected_gain_per_hour=None,
        runs=(RunStatus(started=span.first, secs=span.secs, pid=0, state=JobState.STOPPED),),
        models=tuple(_model(connection, tasks) for connection in reversed(devices)),
        devices=tuple(_device(devices[one], one, trials[one]) for one in reversed(devices)),
        tasks=tasks,
        failures={},
    )


def _connections(groups: Sequence[TaskGroup]) -> dict[Pair, str]:
    """A name for each group's device with its target, no two alike."""
    places = {one.pair: (one.device.key, str(one.task.target)) for one in groups}
    names = {places[one.pair]: one.device.name for one in groups}
    counts = Counter(names.values())
    told = {
        place: name if counts[name] == 1 else f"{name} {place[0][:8]} {place[1]}"
        for place, name in names.items()
    }
    return {pair: told[place] for pair, place in places.items()}


def _task(one: TaskGroup, connection: str) -> TaskStatus:
    return TaskStatus(
        name=one.task.name,
        key=one.task.key,
        device=connection,
        calls=one.task.weight,
        flops=one.task.workload.flops,
        trials=one.summary.trials,
        default_secs=one.summary.default_secs,
        best_secs=one.summary.best_secs,
        state="",
    )


def _model(connection: str, tasks: Sequence[TaskStatus]) -> ModelStatus:
    own = [one for one in tasks if one.device == connection]
    return ModelStatus(
        name=_ALL,
        device=connection,
        estimated_start_secs=_total([(one.calls, one.default_secs) for one in own]),
        estimated_secs=_total([(one.calls, one.best_secs) for one in own]),
        calls={one.key: one.calls for one in own},
    )


def _total(parts: Sequence[tuple[int, float | None]]) -> float | None:
    """The sum of calls times seconds, None where one is not known."""
    known = [calls * secs for calls, secs in parts if secs is not None]
    return sum(known) if len(known) == len(parts) else None


def _device(one: TaskGroup, connection: str, trials: int) -> DeviceStatus:
    threads = one.device.facts.get("threads")
    return DeviceStatus(
        name=one.device.name,
        connection=connection,
        target=str(one.task.target),
        fingerprint=one.device.key,
        threads=threads if isinstance(threads, int) else 1,
        facts=dict(one.device.facts),
        trials=trials,
    )
