"""A report from a job's status and its log, with all records read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autotune.jobs.status import JobStatus, TaskStatus
from autotune.reports.failures import failure_reports
from autotune.reports.report import Evidence, OperatorQuality, Place, Report, assemble
from cost_models.evaluation.over_trials import quality_over_trials
from search_spaces import TuningTask
from tuning_logs import RecordStore, TuningRecord
from tuning_logs.selection.improvements import first_of_each, improvements_of

# Tasks for which the cost model's quality is looked at: those with the most time in them.
_JUDGED_TASKS = 4


def make_report(status: JobStatus, log: RecordStore, moved_bytes: Callable[[TuningTask], int]) -> Report:
    """Gathers the numbers. moved_bytes: the size of a task's inputs and outputs, where the status does not know it."""
    tasks = {(task.key, str(task.target)): task for task in log.tasks()}
    fingerprints = {device.key: device for device in log.devices()}
    records: dict[Place, list[TuningRecord]] = {}
    moved: dict[Place, int] = {}
    quality: list[OperatorQuality] = []
    for device in status.devices:
        own = [one for one in status.tasks if one.device == device.connection]
        for one in own:
            if (task := tasks.get((one.key, device.target))) is None:
                continue
            place = (one.device, one.key)
            records[place] = log.where(task=task, device=fingerprints.get(device.fingerprint))
            moved[place] = moved_bytes(task) if one.moved_bytes is None else one.moved_bytes
        quality += _quality(own, records)
    own_records = [one for each in records.values() for one in each if _is_own(one, status)]
    evidence = Evidence(
        {place: improvements_of(each) for place, each in records.items()},
        moved,
        tuple(quality),
        failure_reports(own_records),
    )
    return assemble(status, evidence)


def _quality(
    own: Sequence[TaskStatus], records: Mapping[Place, Sequence[TuningRecord]]
) -> list[OperatorQuality]:
    heaviest = sorted(own, key=lambda one: -one.calls * (one.best_secs or 0.0))[:_JUDGED_TASKS]
    judged = [
        (one.name, quality_over_trials(first_of_each(records.get((one.device, one.key), []))))
        for one in heaviest
    ]
    return [OperatorQuality(name, tuple(points)) for name, points in judged if points]


def _is_own(record: TuningRecord, status: JobStatus) -> bool:
    return record.provenance.job.id.startswith(status.run_prefix)
