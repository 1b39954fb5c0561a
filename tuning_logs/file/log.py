"""The tuning log: every trial that ever happened, in a file that outlives the job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from search_spaces.errors import Misuse
from search_spaces.task import TuningTask
from tuning_logs.file.contents import Contents, PlacedLine
from tuning_logs.file.follower import FileTail
from tuning_logs.file.log_file import LogFile
from tuning_logs.file.memory_source import MemorySource
from tuning_logs.format.line import UnreadableLine, decode_line, encode_line
from tuning_logs.records.damage import Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import Job, TuningRecord, key_of
from tuning_logs.records.trial_counts import TrialCounts
from tuning_logs.selection.record_rows import STATUSES, Rows, groups

if TYPE_CHECKING:
    import pandas


class TuningLog:
    """Records in the order they were appended, found by task, target and device.

    >>> with TuningLog.open("logs/squeezenet.jsonl") as log:
    ...     log.append(records)
    ...     fastest = log.best(task, device)
    """

    def __init__(self, contents: Contents, sink: FileTail | MemorySource) -> None:
        self._contents = contents
        self._sink = sink
        self._accepts = True

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Opens a log for reading and appending; creates it, and the folders it is in, where there is none.

        A last line that was cut, as by a power failure, is removed and reported in `damage`. The right to
        append is taken with the first batch and kept until `close`.

        Raises Misuse where the path cannot be written or holds something else than a log, and AutotuneError
        where the log is of a newer schema. Neither changes the file.
        """
        follower = FileTail(LogFile.for_appending(Path(path)))
        try:
            follower.catch_up()
            follower.keep_index()
            follower.repair_unless_written()
        except BaseException:
            follower.file.close()
            raise
        return cls(follower.contents, follower)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a log and never writes to it, even while a job does.

        Raises Misuse where there is no such file or it holds something else than a log, and AutotuneError
        where the log is of a newer schema.
        """
        follower = FileTail(LogFile.for_reading(Path(path)))
        try:
            follower.catch_up()
            follower.keep_index()
            follower.take_tail()
        finally:
            follower.file.close()
        log = cls(follower.contents, follower)
        log._accepts = False
        return log

    @classmethod
    def in_memory(cls) -> Self:
        """A log without a file, for jobs whose records nobody will miss."""
        source = MemorySource()
        return cls(Contents(source), source)

    @property
    def path(self) -> Path | None:
        """The file, None for a log in memory."""
        return self._sink.file.path if isinstance(self._sink, FileTail) else None

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The lines that could not be read and why, in the order in which they were met."""
        return self._contents.damage

    def append(self, records: Sequence[TuningRecord]) -> None:
        """Adds records; when it returns they are on disk, and found by every lookup.

        Messages of failures are cut to 2,000 characters. Appending nothing is a way to find out early whether the
        log can be written to.

        Raises AutotuneError where another process is writing to the log, where the disk is full, or where
        the file was replaced; then none of the records is in the log, and all that was before is. Raises
        Misuse for a log opened with `read`, and for a record that holds something that cannot be written (a
        time that is not a positive number of seconds, say).
        """
        if not self._accepts:
            raise Misuse(
                f"expected a log open for appending, found {self.path} read only or closed; open it again",
                code="AT207",
            )
        if isinstance(self._sink, FileTail):
            self._sink.prepare()
        definitions = self._contents.definitions.copy()
        offset = self._sink.size
        data: list[bytes] = []
        placed: list[PlacedLine] = []
        for record in records:
            try:
                for line in definitions.lines_for(record):
                    data.append(encode_line(line))
                    # What is not read back here would be damage for whoever opens the log next.
                    placed.append(PlacedLine(decode_line(data[-1].rstrip()), offset, len(data[-1])))
                    definitions.take(placed[-1].line, offset, len(data[-1]))
                    offset += len(data[-1])
            except UnreadableLine as reason:
                raise Misuse(
                    f"expected a record that can be written down, but trial {record.provenance.trial} of "
                    f"{record.task.name!r} would not read back: {reason}; nothing of its batch was written",
                    code="AT214",
                ) from None
        if data:
            self._sink.append(b"".join(data))
        self._contents.add(definitions, placed)
        if isinstance(self._sink, FileTail):
            self._sink.keep_grown_index()

    def iterate(self) -> Iterator[TuningRecord]:
        """The records in the order of the file, read one at a time."""
        return self._contents.records(self._contents.index.rows)

    def where(
        self, *, task: TuningTask | None = None, device: DeviceFingerprint | None = None
    ) -> list[TuningRecord]:
        """The records of a task (its key and target), of a device, or of both, in the order of the file."""
        task_key, device_key = key_of(task) if task else None, device.key if device else None
        return list(self._contents.records(self._contents.index.where(task_key, device_key)))

    def best(self, task: TuningTask, device: DeviceFingerprint | None = None) -> TuningRecord | None:
        """The record of the fastest config for a task, on one device or on any; None where no config ran.

        Several records of one config on one device count as one measurement with the repeats of all of
        them, so that a lucky run does not win over a config measured again: the record given is the latest
        of them, with all their repeats. Censored records count only where there is nothing else, and a
        config that gave a wrong result even once does not count at all.
        """
        return self._contents.index.best(key_of(task), device.key if device else None, self._contents.record)

    def trial_counts(self) -> list[TrialCounts]:
        """The trial counts of every task on every device, in order of first appearance."""
        index = self._contents.index
        tasks, devices, rows = self.tasks(), self.devices(), index.rows
        pair = rows["task"].astype(np.uint64) << np.uint64(32) | rows["device"]
        order, starts, counts = groups(pair)
        firsts = order[starts]
        found = []
        for place in np.argsort(firsts):
            first = rows[firsts[place]]
            statuses = rows["status"][order[starts[place] : starts[place] + counts[place]]]
            numbers = np.bincount(statuses, minlength=len(STATUSES)).tolist()
            ended = {status: number for status, number in zip(STATUSES, numbers, strict=True) if number}
            found.append(TrialCounts(tasks[first["task"]], devices[first["device"]], ended))
        return found

    @property
    def rows(self) -> Rows:
        """The index row of each record, in the order of the file; see `tuning_logs.selection.record_rows`."""
        return self._contents.index.rows

    def record(self, row: np.void) -> TuningRecord:
        """The record that a row stands for."""
        return self._contents.record(row)

    def records(self, rows: Rows) -> list[TuningRecord]:
        """The records that rows stand for."""
        return list(self._contents.records(rows))

    def tasks(self) -> list[TuningTask]:
        """The tasks that have records, in order of first appearance."""
        return [record.task for record in self._first_of("task")]

    def devices(self) -> list[DeviceFingerprint]:
        """The devices that have records, in order of first appearance."""
        return [record.device for record in self._first_of("device")]

    def jobs(self) -> list[Job]:
        """The jobs that have records, in order of first appearance."""
        return [record.provenance.job for record in self._first_of("job")]

    def to_pandas(self) -> pandas.DataFrame:
        """One row per record, in the order of the file; `tuning_logs.records.frame` says what the columns hold."""
        from tuning_logs.records.frame import (
            frame_of,  # pandas takes half a second to load, and only this needs it
        )

        return frame_of(self.iterate())

    def close(self) -> None:
        """Gives up the file and the right to append. What was read can still be looked up."""
        if isinstance(self._sink, FileTail):
            if self._accepts:
                self._sink.keep_index()
            self._sink.file.close()
        self._accepts = False

    def __len__(self) -> int:
        return len(self._contents.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _first_of(self, field: str) -> Iterator[TuningRecord]:
        return self._contents.records(self._contents.index.first_rows(field))
