"""The file beside a large log that saves reading all of it again; never trusted over the log, and made anew at will."""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import Final, Protocol

import msgspec
import numpy as np

from search_spaces.errors import StorageError
from tuning_logs.atomic_file import atomically
from tuning_logs.file.contents import Contents
from tuning_logs.file.log_file import FileStamp, LogFile, index_path
from tuning_logs.file.record_index import RecordIndex
from tuning_logs.format.line import SCHEMA, UnreadableLine, bare, decode_line
from tuning_logs.records.damage import Damage
from tuning_logs.records.record import TaskKey
from tuning_logs.selection.record_rows import ROW, STATUSES, Rows
from tuning_logs.selection.task_summary import TaskSummary

_FORMAT: Final = "autotune-log-index-3"
_LONGEST_HEADER: Final = 64 << 20
_BLOCK: Final = 1 << 20
# Bytes before the end of what is indexed, by which a log that grew is told from another one.
_TAIL: Final = 1 << 20


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """size and crc: of the part of the log that the index accounts for; tail_crc: of its end; stamp: of the file when
    it was read; rows_crc: of the rows behind the header."""

    format: str
    schema: str
    statuses: tuple[str, ...]
    size: int
    crc: int
    tail_crc: int
    stamp: FileStamp
    lines: int
    readable: int
    tasks: tuple[TaskKey, ...]
    devices: tuple[str, ...]
    jobs: tuple[str, ...]
    definitions: tuple[tuple[int, int], ...]
    damage: tuple[tuple[int, str], ...]
    unreported: int
    summaries: tuple[TaskSummary, ...]
    rows: int
    rows_crc: int


def save_index(file: LogFile, contents: Contents, size: int) -> None:
    """Writes what is known of the first size bytes of a log beside it, where the folder takes it."""
    # The index saves time and nothing else: whatever keeps it from being written must not be in the way.
    with contextlib.suppress(OSError, StorageError):
        _save(file, contents, size)


def _save(file: LogFile, contents: Contents, size: int) -> None:
    index, stamp = contents.index, file.stamp
    rows = np.ascontiguousarray(index.rows)
    header = _Header(
        format=_FORMAT,
        schema=SCHEMA,
        statuses=STATUSES,
        size=size,
        crc=_crc_of(file, 0, size),
        tail_crc=_crc_of(file, max(size - _TAIL, 0), size),
        stamp=stamp,
        lines=contents.lines,
        readable=contents.readable,
        tasks=index.tasks,
        devices=index.devices,
        jobs=index.jobs,
        definitions=tuple(contents.definitions.places),
        damage=tuple((each.line, each.reason) for each in contents.reported),
        unreported=contents.unreported,
        summaries=tuple(contents.summaries().values()),
        rows=len(rows),
        rows_crc=zlib.crc32(rows.data),
    )
    with atomically(index_path(file.path)) as scratch, scratch.open("wb") as out:
        out.write(msgspec.json.encode(header) + b"\n")
        out.write(rows.data)


class IndexCheck(Protocol):
    """Tells whether an index of a size within the file belongs to it."""

    def __call__(self, header: _Header, file: LogFile) -> bool: ...


def is_same(header: _Header, file: LogFile) -> bool:
    """Whether the log holds every byte that was indexed."""
    return header.crc == _crc_of(file, 0, header.size)


def looks_same(header: _Header, file: LogFile) -> bool:
    """Whether the log is the very file, not written to since, or only longer; any other is looked at as a whole.

    A gigabyte takes no second then. Each line has a checksum of its own, by which a change is found when it is read.
    """
    found = file.stamp
    if found == header.stamp:
        return True
    if found.inode == header.stamp.inode and found.size > header.stamp.size >= header.size:
        return header.tail_crc == _crc_of(file, max(header.size - _TAIL, 0), header.size)
    return is_same(header, file)


def load_index(file: LogFile, belongs: IndexCheck = is_same) -> tuple[Contents, int] | None:
    """The contents in an index file, and the bytes of the log that they cover; None where there is no index, or it
    belongs to another log. belongs: `is_same` or `looks_same`."""
    try:
        with index_path(file.path).open("rb") as stream:
            header = msgspec.json.decode(stream.readline(_LONGEST_HEADER), type=_Header)
            held = os.fstat(stream.fileno()).st_size // ROW.itemsize
            if header.rows > held or not (_fits(header, file) and belongs(header, file)):
                return None
            rows: Rows = np.fromfile(stream, ROW, header.rows)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return None
    if not _are_whole(rows, header):
        return None
    contents = Contents(file)
    contents.restore(RecordIndex(rows, header.tasks, header.devices, header.jobs), header.summaries)
    contents.lines, contents.readable = header.lines, header.readable
    contents.reported = [Damage(line, reason) for line, reason in header.damage]
    contents.unreported = header.unreported
    try:
        if not all(0 <= offset <= offset + size <= header.size for offset, size in header.definitions):
            return None
        for offset, size in header.definitions:
            contents.definitions.take(decode_line(bare(file.at(offset, size))), offset, size)
    except UnreadableLine:
        return None
    return contents, header.size


def _fits(header: _Header, file: LogFile) -> bool:
    return (
        (header.format, header.schema, header.statuses) == (_FORMAT, SCHEMA, STATUSES)
        and 0 <= header.size <= file.size
        and 0 <= header.rows <= header.lines
    )


def _are_whole(rows: Rows, header: _Header) -> bool:
    if len(rows) != header.rows or zlib.crc32(rows.data) != header.rows_crc:
        return False
    if sum(one.records for one in header.summaries) != len(rows) or not all(
        0 <= one.task < len(header.tasks) and 0 <= one.device < len(header.devices)
        for one in header.summaries
    ):
        return False
    numbered = (("task", header.tasks), ("device", header.devices), ("job", header.jobs))
    return len(rows) == 0 or (
        int(rows["offset"].min()) >= 0
        and int(rows["offset"].max()) <= header.size
        and int((rows["offset"] + rows["size"]).max()) <= header.size
        and all(int(rows[field].max()) < len(known) for field, known in numbered)
        and int(rows["status"].max()) < len(STATUSES)
    )


def _crc_of(file: LogFile, start: int, end: int) -> int:
    """The checksum of a part of the log: a gigabyte takes about a second."""
    crc = 0
    with file.reader(start) as stream:
        while start < end and (block := stream.read(min(_BLOCK, end - start))):
            crc = zlib.crc32(block, crc)
            start += len(block)
    return crc
