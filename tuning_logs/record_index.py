"""The records of a log in memory, found by task, target and device without looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.task import TuningTask
from tuning_logs.device_fingerprint import DeviceFingerprint
from tuning_logs.record import Job, TuningRecord
from tuning_logs.standing import Contender, Standing

#: A task's key and its target's text: the weight differs from model to model, and does not tell tasks apart.
TaskKey = tuple[str, str]


def key_of(task: TuningTask) -> TaskKey:
    """What tells one task from another in a log."""
    return (task.key, str(task.target))


class RecordIndex:
    """Records in the order of the file, and where to find them."""

    def __init__(self) -> None:
        self._records: list[TuningRecord] = []
        self._by_task: dict[TaskKey, list[TuningRecord]] = {}
        self._by_device: dict[str, list[TuningRecord]] = {}
        self._standings: dict[TaskKey, dict[str, Standing]] = {}
        self._jobs: dict[str, Job] = {}

    def add(self, record: TuningRecord) -> None:
        """Takes one more record in."""
        task, device = key_of(record.task), record.device.key
        self._records.append(record)
        self._by_task.setdefault(task, []).append(record)
        self._by_device.setdefault(device, []).append(record)
        self._standings.setdefault(task, {}).setdefault(device, Standing()).add(record)
        self._jobs.setdefault(record.provenance.job.id, record.provenance.job)

    def where(self, task: TuningTask | None, device: DeviceFingerprint | None) -> list[TuningRecord]:
        """The records of a task, of a device, of both, or all, in the order of the file."""
        if task is None:
            return list(self._records if device is None else self._by_device.get(device.key, ()))
        found = self._by_task.get(key_of(task), [])
        return [record for record in found if device is None or record.device.key == device.key]

    def best(self, task: TuningTask, device: DeviceFingerprint | None) -> TuningRecord | None:
        """The record of the fastest config, with the repeats of all its records."""
        standings = self._standings.get(key_of(task), {})
        named = standings.values() if device is None else filter(None, [standings.get(device.key)])
        contenders = [standing.best for standing in named if standing.best is not None]
        return min(contenders, key=_rank).record if contenders else None

    def tasks(self) -> list[TuningTask]:
        """Every task with a record, in order of first appearance, as first written."""
        return [records[0].task for records in self._by_task.values()]

    def devices(self) -> list[DeviceFingerprint]:
        """Every device with a record, in order of first appearance."""
        return [records[0].device for records in self._by_device.values()]

    def jobs(self) -> list[Job]:
        """Every job with a record, in order of first appearance."""
        return list(self._jobs.values())

    def __iter__(self) -> Iterator[TuningRecord]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


def _rank(contender: Contender) -> tuple[bool, float]:
    return contender.rank
