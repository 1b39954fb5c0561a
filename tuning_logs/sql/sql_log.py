"""A tuning log in a database that many jobs and builds share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import sqlalchemy
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from search_spaces.errors import Misuse
from search_spaces.task import TuningTask
from tuning_logs.format.definitions import Definitions
from tuning_logs.format.line import RecordLine, UnreadableLine, decode_line, encode_line
from tuning_logs.records.damage import Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import Job, TuningRecord
from tuning_logs.records.trial_counts import TrialCounts
from tuning_logs.selection.best_record import best_record, is_better
from tuning_logs.selection.record_rows import ROW, STATUSES, Rows, program_of, standing_of
from tuning_logs.sql.sql_reader import LINE_COLUMNS, SqlReader
from tuning_logs.sql.sql_store import SqlStore
from tuning_logs.sql.sql_tables import DEFINITIONS, RECORDS

if TYPE_CHECKING:
    import pandas

_PAGE: Final = 1000
_RANKING: Final = (RECORDS.c.id, RECORDS.c.device, RECORDS.c.job, RECORDS.c.program, RECORDS.c.status)


@dataclass(slots=True)
class _Batch:
    definitions: dict[str, dict[str, str]] = field(default_factory=dict)
    records: list[dict[str, object]] = field(default_factory=list)


class SqlLog:
    """A tuning log in a database, for concurrent writers.

    A record is in the store once: appending it again, as after a lost connection, changes nothing.

    >>> with SqlLog.open("postgresql://tuner@host/tuning") as log:
    ...     log.append(records)
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._reader = SqlReader(store)
        self._accepts = True

    @classmethod
    def open(cls, url: str) -> Self:
        """Opens the store of a database; makes its tables where there are none yet.

        Raises Misuse for an address of no known kind, AutotuneError where the database cannot be reached or holds
        the tables of a later version.
        """
        store = SqlStore(url)
        store.migrate()
        return cls(store)

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The lines met so far that could not be read, by the number of their record."""
        return tuple(self._reader.damage)

    def append(self, records: Sequence[TuningRecord]) -> None:
        """Adds records in one transaction; when it returns they are committed.

        Raises AutotuneError where the database does not take them, Misuse after `close` and for a record that
        cannot be written down; then none of the records is in the store.
        """
        if not self._accepts:
            raise Misuse(
                f"expected a store open for appending, found {self._store.name} closed; open it again",
                code="AT207",
            )
        batch = _batch_of(records)
        self._store.write(lambda connection: _insert(connection, batch))

    def iterate(self) -> Iterator[TuningRecord]:
        """The records in the order in which they were stored, read a thousand at a time."""
        last = 0
        while rows := self._store.rows(
            select(*LINE_COLUMNS).where(RECORDS.c.id > last).order_by(RECORDS.c.id).limit(_PAGE)
        ):
            yield from self._reader.records(rows)
            last = rows[-1].id

    def where(
        self, *, task: TuningTask | None = None, device: DeviceFingerprint | None = None
    ) -> list[TuningRecord]:
        """The records of a task (its key and target), of a device, or of both, in the order of the store."""
        query = _narrowed(select(*LINE_COLUMNS), task, device).order_by(RECORDS.c.id)
        return list(self._reader.records(self._store.rows(query)))

    def best(self, task: TuningTask, device: DeviceFingerprint | None = None) -> TuningRecord | None:
        """The record of the fastest config for a task; see `TuningLog.best`."""
        query = select(*_RANKING, RECORDS.c.secs, RECORDS.c.low_secs)
        found = self._store.rows(_narrowed(query, task, device).order_by(RECORDS.c.id))
        best: TuningRecord | None = None
        for key in dict.fromkeys(row.device for row in found):
            rows = _ranking(row for row in found if row.device == key)
            record = best_record(rows, lambda row: self._reader.record(int(row["offset"])))
            if best is None or (record is not None and is_better(record, best)):
                best = record
        return best

    def trial_counts(self) -> list[TrialCounts]:
        """The trial counts of every task on every device, in order of first appearance."""
        pair = (RECORDS.c.task, RECORDS.c.target, RECORDS.c.device)
        numbers: dict[tuple[str, ...], dict[str, int]] = {}
        query = select(*pair, RECORDS.c.status, func.count().label("records"))
        for row in self._store.rows(query.group_by(*pair, RECORDS.c.status)):
            numbers.setdefault((row.task, row.target, row.device), {})[row.status] = row.records
        return [
            TrialCounts(
                each.task, each.device, numbers[each.task.key, str(each.task.target), each.device.key]
            )
            for each in self._first_of(*pair)
        ]

    def tasks(self) -> list[TuningTask]:
        """The tasks that have records, in order of first appearance."""
        return [record.task for record in self._first_of(RECORDS.c.task, RECORDS.c.target)]

    def devices(self) -> list[DeviceFingerprint]:
        """The devices that have records, in order of first appearance."""
        return [record.device for record in self._first_of(RECORDS.c.device)]

    def jobs(self) -> list[Job]:
        """The jobs that have records, in order of first appearance."""
        return [record.provenance.job for record in self._first_of(RECORDS.c.job)]

    def to_pandas(self) -> pandas.DataFrame:
        """One row per record, in the order of the store; `tuning_logs.records.frame` says what the columns hold."""
        from tuning_logs.records.frame import (
            frame_of,  # pandas takes half a second to load, and only this needs it
        )

        return frame_of(self.iterate())

    def close(self) -> None:
        """Gives up the connections and the right to append; looking up goes on."""
        self._accepts = False
        self._store.engine.dispose()

    def __len__(self) -> int:
        return int(self._store.rows(select(func.count()).select_from(RECORDS))[0][0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _first_of(self, *columns: sqlalchemy.Column[Any]) -> Iterator[TuningRecord]:
        firsts = select(func.min(RECORDS.c.id)).group_by(*columns)
        query = select(*LINE_COLUMNS).where(RECORDS.c.id.in_(firsts)).order_by(RECORDS.c.id)
        return self._reader.records(self._store.rows(query))


def _narrowed(
    query: sqlalchemy.Select[Any], task: TuningTask | None, device: DeviceFingerprint | None
) -> sqlalchemy.Select[Any]:
    if task is not None:
        query = query.where(RECORDS.c.task == task.key, RECORDS.c.target == str(task.target))
    return query if device is None else query.where(RECORDS.c.device == device.key)


def _ranking(found: Iterable[sqlalchemy.Row[Any]]) -> Rows:
    """The rows as those of a log's index; offset holds the id, and jobs are numbered as they come."""
    infinite = float("inf")
    jobs: dict[str, int] = {}
    return np.array(
        [
            (
                row.id,
                0,
                0,
                0,
                jobs.setdefault(row.job, len(jobs)),
                row.program % 2**64,
                infinite if row.secs is None else row.secs,
                infinite if row.low_secs is None else row.low_secs,
                STATUSES.index(row.status),
            )
            for row in found
            if row.status in STATUSES
        ],
        ROW,
    )


def _batch_of(records: Sequence[TuningRecord]) -> _Batch:
    batch = _Batch()
    for record in records:
        try:
            # What a line refers to is named by digest, so every record brings its definitions along.
            *definitions, text = (encode_line(line).rstrip() for line in Definitions().lines_for(record))
            lines = [decode_line(each) for each in (*definitions, text)]
            check = Definitions()
            for line in lines:
                check.take(line, 0, 0)
        except UnreadableLine as reason:
            raise Misuse(
                f"expected a record that can be written down, but trial {record.provenance.trial} of "
                f"{record.task.name!r} would not read back: {reason}; nothing of its batch was written",
                code="AT214",
            ) from None
        digests = [_digest(each) for each in definitions]
        kinds = ("workload", "device", "job", "trace")[: len(digests)]
        for digest, kind, each in zip(digests, kinds, definitions, strict=True):
            batch.definitions[digest] = {"digest": digest, "kind": kind, "line": each.decode()}
        line = lines[-1]
        assert isinstance(line, RecordLine)
        batch.records.append(_columns(line, text, digests))
    return batch


def _columns(line: RecordLine, text: bytes, digests: Sequence[str]) -> dict[str, object]:
    secs, low_secs, status = standing_of(line.measurement)
    ran = secs != float("inf")
    program = program_of(line.space, line.config)
    workload, device, job, *trace = digests
    return {
        "digest": _digest(text),
        "task": line.task,
        "target": line.target,
        "device": line.device,
        "job": line.job,
        "workload_digest": workload,
        "device_digest": device,
        "job_digest": job,
        "trace_digest": trace[0] if trace else None,
        "program": program - 2**64 if program >= 2**63 else program,
        "status": STATUSES[status],
        "secs": secs if ran else None,
        "low_secs": low_secs if ran else None,
        "line": text.decode(),
    }


def _insert(connection: sqlalchemy.Connection, batch: _Batch) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Always in the same order, so that two writers who bring the same definitions do not wait for each other.
    definitions = sorted(batch.definitions.values(), key=lambda row: row["digest"])
    if definitions:
        connection.execute(insert(DEFINITIONS).on_conflict_do_nothing(), definitions)
        connection.execute(insert(RECORDS).on_conflict_do_nothing(), batch.records)


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()
