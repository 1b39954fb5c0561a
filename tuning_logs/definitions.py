"""The workloads, devices and jobs that a log's records refer to by key, each written down once."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import TypeVar

from search_spaces.config import Config
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.device_fingerprint import DeviceFingerprint
from tuning_logs.line import DeviceLine, JobLine, Line, RecordLine, UnreadableLine, WorkloadLine
from tuning_logs.record import Job, Provenance, TuningRecord
from tuning_logs.record_line import (
    check_of,
    device_line,
    job_line,
    measurement_of,
    record_line,
    workload_line,
)

_T = TypeVar("_T")


class Definitions:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self._workloads: dict[str, Workload] = {}
        self._devices: dict[str, DeviceFingerprint] = {}
        self._jobs: dict[str, Job] = {}
        self._targets: dict[str, Target] = {}

    def lines_for(self, record: TuningRecord) -> Iterator[Line]:
        """The line of a record, after those of what it refers to and no line has defined (so) yet."""
        workload, device, job = record.task.workload, record.device, record.provenance.job
        if self._workloads.get(workload.key) != workload:
            yield workload_line(workload)
        if self._devices.get(device.key) != device:
            yield device_line(device)
        if self._jobs.get(job.id) != job:
            yield job_line(job)
        yield record_line(record)

    def take(self, line: Line) -> tuple[TuningRecord, ...]:
        """Remembers a definition (and gives nothing), or gives the record that the line stands for.

        A repeated definition replaces the earlier one for the records that follow it.
        Raises UnreadableLine with the reason where the line refers to what no line has defined.
        """
        match line:
            case WorkloadLine():
                workload = Workload(line.key, line.name, line.module, line.flops)
                self._workloads[line.key] = _kept(self._workloads.get(line.key), workload)
            case DeviceLine():
                device = DeviceFingerprint(line.name, line.facts)
                if device.key != line.key:
                    raise UnreadableLine(
                        f"the device's key is {line.key}, but the digest of its facts {device.key}"
                    )
                self._devices[line.key] = _kept(self._devices.get(line.key), device)
            case JobLine():
                job = Job(line.id, line.seed, line.sampler, line.started, line.versions)
                self._jobs[line.id] = _kept(self._jobs.get(line.id), job)
            case RecordLine():
                return (self._record(line),)
        return ()

    def copy(self) -> Definitions:
        """Definitions that may be added to without changing these."""
        other = Definitions()
        other._workloads, other._devices = dict(self._workloads), dict(self._devices)
        other._jobs, other._targets = dict(self._jobs), dict(self._targets)
        return other

    def _record(self, line: RecordLine) -> TuningRecord:
        workload = _defined(self._workloads, "workload", line.task)
        device = _defined(self._devices, "device", line.device)
        job = _defined(self._jobs, "job", line.job)
        return TuningRecord(
            TuningTask(workload, self._target(line.target), line.weight),
            device,
            intern(line.space),
            # A log asks the same questions over and over: hold each name only once.
            Config(tuple((intern(name), answer) for name, answer in line.config)),
            measurement_of(line),
            check_of(line),
            Provenance(job, line.trial, line.time),
        )

    def _target(self, text: str) -> Target:
        if text not in self._targets:
            try:
                self._targets[text] = Target.parse(text)
            except (Misuse, ValueError) as error:
                raise UnreadableLine(f"its target cannot be read: {error}") from None
        return self._targets[text]


def _defined(known: dict[str, _T], noun: str, key: str) -> _T:
    if key not in known:
        raise UnreadableLine(f"it refers to the {noun} {key!r}, which no readable line before it defines")
    return known[key]


def _kept(known: _T | None, found: _T) -> _T:
    # Logs put together repeat long module texts: hold each only once.
    return known if known is not None and known == found else found
