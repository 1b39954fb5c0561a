"""The workloads, devices, jobs and traces that a log's records refer to by key, each written down once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TypeVar

from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.format.line import (
    DeviceLine,
    JobLine,
    Line,
    RecordLine,
    TraceLine,
    UnreadableLine,
    WorkloadLine,
)
from tuning_logs.format.record_line import (
    defined_by,
    device_line,
    job_line,
    record_line,
    record_of,
    trace_line,
    trace_of,
    workload_line,
)
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import Job, TaskKey, TuningRecord

_T = TypeVar("_T")
#: What a key was defined as, by the offset of the line: a record goes by the last one before it.
_Versions = list[tuple[int, _T]]


class Definitions:
    """The definitions in the lines read so far; places holds offset and size of the lines with a new one."""

    def __init__(self) -> None:
        self._workloads: dict[str, _Versions[Workload]] = {}
        self._devices: dict[str, _Versions[DeviceFingerprint]] = {}
        self._jobs: dict[str, _Versions[Job]] = {}
        # A trace's key says all about it, so there is but one version of each.
        self._traces: dict[str, str] = {}
        self._targets: dict[str, Target] = {}
        self.places: list[tuple[int, int]] = []

    def lines_for(self, record: TuningRecord) -> Iterator[Line]:
        """The line of a record, after those of what it refers to and no line has defined (so) yet."""
        workload, device, job = record.task.workload, record.device, record.provenance.job
        if _latest(self._workloads, workload.key) != workload:
            yield workload_line(workload)
        if _latest(self._devices, device.key) != device:
            yield device_line(device)
        if _latest(self._jobs, job.id) != job:
            yield job_line(job)
        line = record_line(record)
        if record.trace is not None and line.trace not in self._traces:
            yield trace_line(record.trace)
        yield line

    def take(self, line: Line, offset: int, size: int) -> bool:
        """Remembers a definition, and says whether it is news; or checks what a record refers to.

        A repeated definition replaces the earlier one for the records that follow it.
        Raises UnreadableLine with the reason where the line refers to what no line has defined. A trace is no such
        case: what was measured is worth keeping without it.
        """
        match line:
            case RecordLine():
                self._check(line)
                return False
            case WorkloadLine() | DeviceLine() | JobLine():
                is_new = self._define(line, offset)
            case TraceLine():
                is_new = line.key not in self._traces
                if is_new:
                    self._traces[line.key] = trace_of(line)
            case _:
                return False
        if is_new:
            self.places.append((offset, size))
        return is_new

    def record(self, line: RecordLine, offset: int) -> TuningRecord:
        """The record that a line at an offset stands for; what it refers to has been defined."""
        return record_of(
            line,
            self.task((line.task, line.target), line.weight, offset),
            self.device(line.device, offset),
            _before(self._jobs[line.job], offset),
            self._traces.get(line.trace) if isinstance(line.trace, str) else None,
        )

    def task(self, key: TaskKey, weight: int, offset: int) -> TuningTask:
        """The task that a record at an offset refers to."""
        workload, target = key
        return TuningTask(_before(self._workloads[workload], offset), self._target(target), weight)

    def device(self, key: str, offset: int) -> DeviceFingerprint:
        """The device that a record at an offset refers to."""
        return _before(self._devices[key], offset)

    def copy(self) -> Definitions:
        """Definitions that may be added to without changing these."""
        other = Definitions()
        other._workloads, other._devices = _copied(self._workloads), _copied(self._devices)
        other._jobs, other._targets = _copied(self._jobs), dict(self._targets)
        other._traces = dict(self._traces)
        other.places = list(self.places)
        return other

    def _define(self, line: WorkloadLine | DeviceLine | JobLine, offset: int) -> bool:
        match defined_by(line):
            case Workload() as workload:
                return _define(self._workloads, workload.key, workload, offset)
            case DeviceFingerprint() as device:
                return _define(self._devices, device.key, device, offset)
            case job:
                return _define(self._jobs, job.id, job, offset)

    def _check(self, line: RecordLine) -> None:
        for known, noun, key in (
            (self._workloads, "workload", line.task),
            (self._devices, "device", line.device),
            (self._jobs, "job", line.job),
        ):
            if key not in known:
                raise UnreadableLine(
                    f"it refers to the {noun} {key!r}, which no readable line before it defines"
                )
        self._target(line.target)

    def _target(self, text: str) -> Target:
        if text not in self._targets:
            try:
                self._targets[text] = Target.parse(text)
            except (Misuse, ValueError) as error:
                raise UnreadableLine(f"its target cannot be read: {error}") from None
        return self._targets[text]


def _latest(known: dict[str, _Versions[_T]], key: str) -> _T | None:
    return known[key][-1][1] if key in known else None


def _define(known: dict[str, _Versions[_T]], key: str, value: _T, offset: int) -> bool:
    """Whether that is news: logs put together repeat long module texts, which are held only once."""
    if _latest(known, key) == value:
        return False
    known.setdefault(key, []).append((offset, value))
    return True


def _copied(known: dict[str, _Versions[_T]]) -> dict[str, _Versions[_T]]:
    return {key: list(versions) for key, versions in known.items()}


def _before(versions: _Versions[_T], offset: int) -> _T:
    if len(versions) == 1:
        return versions[0][1]
    return versions[bisect_left(versions, offset, key=lambda version: version[0]) - 1][1]
