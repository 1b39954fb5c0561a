"""Reads the lines in a team's store back into records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy import select

from search_spaces.errors import Misuse, StorageError
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.format.line import (
    DeviceLine,
    JobLine,
    Line,
    NewerSchema,
    RecordLine,
    TraceLine,
    UnreadableLine,
    WorkloadLine,
    decode_line,
)
from tuning_logs.format.record_line import defined_by, record_of, trace_of
from tuning_logs.records.damage import MOST_REPORTED, Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import Job, TuningRecord
from tuning_logs.sql.sql_store import SqlStore
from tuning_logs.sql.sql_tables import DEFINITIONS, RECORDS

#: What of a record's row is needed to read it.
LINE_COLUMNS: Final = (
    RECORDS.c.id,
    RECORDS.c.line,
    RECORDS.c.workload_digest,
    RECORDS.c.device_digest,
    RECORDS.c.job_digest,
    RECORDS.c.trace_digest,
)
_ASKED_AT_ONCE: Final = 500
_T = TypeVar("_T")


class SqlReader:
    """Reads each definition once. damage: what could not be read so far, by the number of the record."""

    def __init__(self, store: SqlStore) -> None:
        self.damage: list[Damage] = []
        self._store = store
        self._defined: dict[str, Workload | DeviceFingerprint | Job | TraceLine | str] = {}

    def record(self, number: int) -> TuningRecord:
        """The record of a number. Raises StorageError where it cannot be read."""
        rows = self._store.rows(select(*LINE_COLUMNS).where(RECORDS.c.id == number))
        for record in self.records(rows):
            return record
        raise StorageError(
            f"expected record {number} of {self._store.name} to be readable, found damage: "
            f"{self.damage[-1].reason if self.damage else 'it is gone'}; delete that row",
            code="AT206",
        )

    def records(self, rows: Iterable[sqlalchemy.Row[Any]]) -> Iterator[TuningRecord]:
        """The records of rows of LINE_COLUMNS; what cannot be read goes to `damage`."""
        rows = list(rows)
        self._define(str(digest) for row in rows for digest in tuple(row)[2:] if digest)
        for row in rows:
            try:
                record = self._record(row)
            except (UnreadableLine, NewerSchema) as reason:
                if len(self.damage) < MOST_REPORTED:
                    self.damage.append(Damage(row.id, str(reason)))
            else:
                yield record

    def _record(self, row: sqlalchemy.Row[Any]) -> TuningRecord:
        line = decode_line(row.line.encode())
        if not isinstance(line, RecordLine):
            raise UnreadableLine("it is not the line of a record")
        try:
            target = Target.parse(line.target)
        except (Misuse, ValueError) as error:
            raise UnreadableLine(f"its target cannot be read: {error}") from None
        workload = self._expected(row.workload_digest, Workload)
        device = self._expected(row.device_digest, DeviceFingerprint)
        job = self._expected(row.job_digest, Job)
        trace = self._defined.get(row.trace_digest)
        # What was measured is worth keeping without the trace.
        text = trace.text if isinstance(trace, TraceLine) else None
        return record_of(line, TuningTask(workload, target, line.weight), device, job, text)

    def _expected(self, digest: str, kind: type[_T]) -> _T:
        found = self._defined.get(digest, "it is missing")
        if not isinstance(found, kind):
            raise UnreadableLine(f"its {kind.__name__} cannot be read: {found}")
        return found

    def _define(self, digests: Iterable[str]) -> None:
        new = list(dict.fromkeys(digest for digest in digests if digest not in self._defined))
        for start in range(0, len(new), _ASKED_AT_ONCE):
            asked = new[start : start + _ASKED_AT_ONCE]
            query = select(DEFINITIONS.c.digest, DEFINITIONS.c.line).where(DEFINITIONS.c.digest.in_(asked))
            for row in self._store.rows(query):
                try:
                    line = decode_line(row.line.encode())
                    self._defined[row.digest] = _definition(line)
                except (UnreadableLine, NewerSchema) as reason:
                    self._defined[row.digest] = str(reason)


def _definition(line: Line) -> Workload | DeviceFingerprint | Job | TraceLine:
    match line:
        case WorkloadLine() | DeviceLine() | JobLine():
            return defined_by(line)
        case TraceLine():
            trace_of(line)
            return line
        case _:
            raise UnreadableLine("it defines nothing")
