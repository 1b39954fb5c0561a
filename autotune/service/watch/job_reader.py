"""Reads a job on: its status when it changed, its log from where it was left, and what pages show of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autotune.jobs.liveness import with_true_state
from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_file import read_status
from autotune.reports.convergence import convergence
from autotune.reports.report import Evidence, Place, assemble
from autotune.reports.verdict import model_verdicts
from autotune.service.pages.job_facts import JobFacts, LogFacts, OperatorFacts
from autotune.service.watch.job_place import STATUS, JobPlace
from autotune.service.watch.log_reading import read_drift, read_failures, read_span
from autotune.service.watch.log_status import LogSpan, status_of_log
from autotune.service.watch.operator_reading import read_operator
from autotune.service.watch.task_groups import TaskGroup, TaskGroups
from search_spaces import AutotuneError, Config, TuningTask
from tuning_logs import TuningRecord
from tuning_logs.address import is_url
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.selection.best_record import best_record
from tuning_logs.selection.record_rows import Rows
from tuning_logs.selection.task_summary import Pair

# Nothing is read more often than this: a job that runs must not notice.
_LEAST_SECS = 1.0
# How much of the log is read at once, and how long a page may wait for it.
_STEP_BYTES = 4 << 20
_PATIENCE_SECS = 0.4


@dataclass
class _Log:
    """An open log with its groups, and what was read from samples of it at a number of records."""

    log: FollowedLog
    groups: TaskGroups
    sampled_at: int = -1
    facts: LogFacts = field(default_factory=lambda: LogFacts(""))
    span: LogSpan = field(default_factory=LogSpan)


def _opened(path: Path) -> _Log:
    """A log as far as its index goes, with its groups: seconds for a million records."""
    log = FollowedLog.follow(path)
    groups = TaskGroups(log)
    groups.update()
    return _Log(log, groups)


def _opening(path: Path) -> Future[_Log]:
    """A log that a thread of its own opens, a daemon, so that the server ends at once."""
    opening: Future[_Log] = Future()
    threading.Thread(target=_complete, args=(opening, path), daemon=True).start()
    return opening


def _complete(opening: Future[_Log], path: Path) -> None:
    try:
        opening.set_result(_opened(path))
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        opening.set_exception(error)


class JobReader:
    """A job that is read on as it goes; safe to use from several threads. `version` grows with every change.

    A large log is opened while the status is shown already.
    """

    def __init__(self, place: JobPlace) -> None:
        self.place = place
        self.version = 0
        self._lock = threading.Lock()
        self._looked = -1e9
        self._log: _Log | None = None
        self._opening: Future[_Log] | None = None
        self._stamp: tuple[object, ...] = ()
        self._facts: JobFacts | None = None
        self._pairs: Mapping[str, TaskGroup] = {}

    def begin(self) -> None:
        """Starts to open the log, while other things are loaded."""
        with self._lock:
            address = self._address(self._status()[0])
            if not is_url(address) and self._opening is None:
                self._opening = _opening(Path(address))

    def facts(self) -> JobFacts:
        """The job as it stands, read on where that was a second ago or longer."""
        with self._lock:
            return self._current()

    def operator(self, link: str) -> OperatorFacts | None:
        """The operator of a page under the job's, by its place there; None where there is none."""
        with self._lock:
            job = self._current()
            group = self._pairs.get(link)
            if group is None or self._log is None or link not in job.links:
                return None
            operator = job.report.operators[job.links.index(link)]
            rows = self._log.groups.rows(group.pair)
            return read_operator(self._log.log, rows, operator, job)

    def trials(self, link: str, most: int) -> tuple[TuningTask, list[TuningRecord], Config] | None:
        """The task of an operator's page, its first records, and its best config; None where none ran."""
        with self._lock:
            group = self._pairs.get(link)
            if group is None or self._log is None:
                return None
            rows = self._log.groups.rows(group.pair)
            best = best_record(rows, self._log.log.record)
            return (group.task, self._log.log.records(rows[:most]), best.config) if best else None

    @property
    def is_behind(self) -> bool:
        """Whether more of the log is there than was read."""
        return self._opening is not None or (self._log is not None and self._log.log.is_behind)

    def _current(self) -> JobFacts:
        is_opened = self._opening is not None and self._opening.done()
        if self._facts is None or is_opened or time.monotonic() - self._looked >= _LEAST_SECS:
            self._read_on()
            self._looked = time.monotonic()
        assert self._facts is not None
        return self._facts

    def _read_on(self) -> None:
        status, trouble = self._status()
        address = self._address(status)
        log_trouble = self._read_log(address)
        stamp = (status, trouble, log_trouble, self._log and (self._log.log.read_share, len(self._log.log)))
        if stamp == self._stamp:
            return
        self._facts = self._assemble(status, trouble, address, log_trouble)
        self._stamp = stamp
        self.version += 1

    def _address(self, status: JobStatus | None) -> str:
        """The path or URL of the log."""
        return status.log if status and not self.place.log else str(self.place.log_path)

    def _status(self) -> tuple[JobStatus | None, str | None]:
        folder = self.place.folder
        if folder is None or not (folder / STATUS).exists():
            return None, None
        try:
            found = read_status(folder)
        except AutotuneError as error:
            return None, str(error)
        return (with_true_state(found) if found else None), None

    def _read_log(self, address: str) -> str | None:
        """Reads the log on for a while; the reason where it cannot be read."""
        if is_url(address):
            return "The log is in a database: these pages show the status alone."
        if self._log is not None and not self._log.log.is_current:
            self._log.log.close()
            self._log = None
        try:
            if self._log is None:
                self._log = self._open(Path(address))
            if self._log is None:
                return None
            until = time.monotonic() + _PATIENCE_SECS
            while self._log.log.is_behind and time.monotonic() < until:
                before = self._log.log.read_share
                self._log.log.catch_up(_STEP_BYTES)
                if self._log.log.read_share == before:  # a line is being written, or was cut
                    break
            self._log.groups.update()
        except AutotuneError as error:
            self._log = None
            return str(error)
        return None

    def _open(self, path: Path) -> _Log | None:
        """The log, opened by a thread of its own; None where that takes longer than a page may wait."""
        if self._opening is None:
            self._opening = _opening(path)
        try:
            found = self._opening.result(_PATIENCE_SECS)
        except TimeoutError:
            return None
        except BaseException:
            self._opening = None
            raise
        self._opening = None
        return found

    def _assemble(
        self, status: JobStatus | None, trouble: str | None, address: str, log_trouble: str | None
    ) -> JobFacts:
        groups = self._log.groups.groups if self._log else ()
        if self._log is not None:
            self._sample(self._log, address, groups, status)
        has_status = status is not None
        span = self._log.span if self._log else LogSpan()
        status = status or status_of_log(self.place.name, address, groups, span)
        placed = _placed(status, groups)
        evidence = Evidence(
            {place: one.improvements for place, one in placed.items()},
            {(one.device, one.key): one.moved_bytes for one in status.tasks if one.moved_bytes is not None},
        )
        report = assemble(status, evidence)
        found = [placed.get((one.device, one.key)) for one in report.operators]
        self._pairs = {_link(one.pair): one for one in found if one}
        return JobFacts(
            report,
            model_verdicts(status),
            tuple(map(convergence, report.curves)),
            self._log.facts if self._log else self._unread(address, log_trouble),
            tuple(f"{_link(one.pair)}" if one else None for one in found),
            has_status,
            trouble,
        )

    def _unread(self, address: str, trouble: str | None) -> LogFacts:
        return LogFacts(address, read_share=0.0 if self._opening else 1.0, trouble=trouble)

    def _sample(
        self, held: _Log, address: str, groups: Sequence[TaskGroup], status: JobStatus | None
    ) -> None:
        """Reads samples anew where the log grew by a fiftieth since, or the job has ended."""
        log, count = held.log, len(held.log)
        rows = _of_runs(log, status.run_prefix if status else "")
        is_running = status is not None and status.state is JobState.RUNNING
        grown = count - held.sampled_at
        if held.sampled_at < 0 or grown > count // 50 or (grown and not is_running):
            held.sampled_at = count
            names = {one.pair[0]: one.task.name for one in groups}
            failures = read_failures(log, rows, [names.get(n, "") for n in range(max(names, default=-1) + 1)])
            held.facts = LogFacts(address, failures=failures, drift=read_drift(log, rows))
            held.span = read_span(log, log.rows)
        held.facts = LogFacts(
            address,
            len(rows),
            min(log.read_share, 1.0),
            tuple(map(str, log.damage)),
            None,
            held.facts.failures,
            held.facts.drift,
        )


def _link(pair: Pair) -> str:
    return f"operators/{pair[0]}-{pair[1]}"


def _placed(status: JobStatus, groups: Sequence[TaskGroup]) -> dict[Place, TaskGroup]:
    """The groups by the connection of their device in the status, and the task's key."""
    connections = {(one.fingerprint, one.target): one.connection for one in status.devices}
    found = {}
    for one in groups:
        connection = connections.get((one.device.key, str(one.task.target)))
        if connection is not None:
            found[connection, one.task.key] = one
    return found


def _of_runs(log: FollowedLog, run_prefix: str) -> Rows:
    """The rows of the runs of a job."""
    rows = log.rows
    if not run_prefix:
        return rows
    own = [number for number, job in enumerate(log.jobs()) if job.id.startswith(run_prefix)]
    found: Rows = rows[np.isin(rows["job"], own)]
    return found


def is_running(facts: JobFacts) -> bool:
    """Whether the job goes on."""
    return facts.has_status and facts.report.status.state is JobState.RUNNING
