"""The contents of a log file: index, definitions, and damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np

from search_spaces.errors import StorageError
from search_spaces.task import TuningTask
from tuning_logs.file.record_index import RecordIndex
from tuning_logs.format.definitions import Definitions
from tuning_logs.format.line import Line, RecordLine, UnreadableLine, bare, decode_line, whole_end
from tuning_logs.format.raw_lines import RawLine
from tuning_logs.records.damage import MOST_REPORTED, Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.improvements import Stamp
from tuning_logs.selection.record_rows import Rows
from tuning_logs.selection.task_summary import Pair, TaskSummary, summaries_of

_Field = TypeVar("_Field")
_STAMP: Final = msgspec.json.Decoder(Stamp)


class Source(Protocol):
    """The storage of a log's lines."""

    def at(self, offset: int, size: int) -> bytes:
        """The size bytes at an offset, fewer where it ends before."""
        ...

    def distrust(self) -> None:
        """Forgets what was kept to spare reading the lines."""
        ...


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line and where in the file it stands, newline included."""

    line: Line
    offset: int
    size: int


class Contents:
    """The lines taken so far: definitions, damage, and where to find each record. Records stay in the source.

    lines counts all lines, readable those that could be read.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.definitions = Definitions()
        self.index = RecordIndex()
        self._summaries: dict[Pair, TaskSummary] = {}
        self._summarised = 0
        self.lines = 0
        self.readable = 0
        self.reported: list[Damage] = []
        self.unreported = 0

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The unreadable lines: the first MOST_REPORTED, with the number of further ones in the last."""
        if not self.unreported:
            return tuple(self.reported)
        last = self.reported[-1]
        return (
            *self.reported[:-1],
            Damage(last.line, f"{last.reason} (and {self.unreported} more after it)"),
        )

    def take(self, raw: RawLine, offset: int) -> None:
        """Reads the next line, which stands at an offset. Raises NewerSchema where only a later version can."""
        self.lines += 1
        if raw.text is None:
            self.report(raw.number, f"it has {raw.size} bytes, more than any line of a tuning log")
        elif raw.text:
            self._take(raw, raw.text, offset)

    def add(self, definitions: Definitions, placed: Iterable[PlacedLine]) -> None:
        """Takes in lines that were just written; definitions: those with these lines among them."""
        self.definitions = definitions
        for each in placed:
            self.lines += 1
            self.readable += 1
            if isinstance(each.line, RecordLine):
                self.index.add(each.line, each.offset, each.size)

    def report(self, line: int, reason: str) -> None:
        """Notes damage."""
        if len(self.reported) < MOST_REPORTED:
            self.reported.append(Damage(line, reason))
        else:
            self.unreported += 1

    def restore(self, index: RecordIndex, summaries: Iterable[TaskSummary]) -> None:
        """Sets the index of lines that were read before, and the summaries of all its rows."""
        self.index = index
        self._summaries = {one.pair: one for one in summaries}
        self._summarised = len(index)

    def summaries(self) -> Mapping[Pair, TaskSummary]:
        """The summaries of all tasks on devices. Raises StorageError where the file was changed meanwhile."""
        rows = self.index.rows
        if self._summarised < len(rows):
            self._summaries = summaries_of(rows, self._summaries, self._summarised, self)
            self._summarised = len(rows)
        return self._summaries

    def subjects(self, summaries: Iterable[TaskSummary]) -> Iterator[tuple[TuningTask, DeviceFingerprint]]:
        """The task and the device of each summary."""
        tasks, devices = self.index.tasks, self.index.devices
        for one in summaries:
            yield (
                self.definitions.task(tasks[one.task], one.weight, one.first),
                self.definitions.device(devices[one.device], one.first),
            )

    def stamps(self, rows: Rows) -> Iterator[Stamp]:
        """The jobs and times of rows, and nothing else of their lines. Raises as `records` does."""
        return self.fields(rows, _STAMP)

    def fields(self, rows: Rows, decoder: msgspec.json.Decoder[_Field]) -> Iterator[_Field]:
        """A part of each row's line. Raises as `records` does."""
        for offset, size in zip(rows["offset"].tolist(), rows["size"].tolist(), strict=True):
            try:
                yield decoder.decode(self.source.at(offset, size))
            except msgspec.MsgspecError as error:
                raise self._changed(offset) from error

    def records(self, rows: Rows) -> Iterator[TuningRecord]:
        """The records that the rows stand for. Raises StorageError where the file was changed meanwhile."""
        return map(self.record, rows)

    def record(self, row: np.void) -> TuningRecord:
        """The record that a row stands for. Raises StorageError where the file was changed meanwhile."""
        offset, size = int(row["offset"]), int(row["size"])
        try:
            line = decode_line(bare(self.source.at(offset, size)))
            if isinstance(line, RecordLine):
                return self.definitions.record(line, offset)
        except (UnreadableLine, KeyError):  # KeyError: an index of another log left a definition out
            pass
        raise self._changed(offset)

    def _changed(self, offset: int) -> StorageError:
        self.source.distrust()
        return StorageError(
            f"expected the record that was at byte {offset} when the log was opened, found that the file was changed "
            "since; open the log again",
            code="AT206",
        )

    def _take(self, raw: RawLine, text: bytes, offset: int) -> None:
        try:
            line = decode_line(text)
            self.definitions.take(line, offset, raw.size)
        except UnreadableLine as reason:
            self.report(raw.number, str(reason))
            # A log whose last line was cut may have been joined with another: that one's first line is whole.
            if end := whole_end(text):
                skipped = len(text) - len(end)
                self._take(RawLine(raw.number, raw.size - skipped, None, raw.ended), end, offset + skipped)
            return
        self.readable += 1
        if isinstance(line, RecordLine):
            self.index.add(line, offset, raw.size)
