"""Keeps what is known of a log file up to date with the file, which another process may have added to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from search_spaces.errors import AutotuneError, StorageError
from tuning_logs.file.contents import Contents
from tuning_logs.file.index_file import IndexCheck, is_same, load_index, save_index
from tuning_logs.file.log_file import LogFile
from tuning_logs.format.line import SCHEMA_MAJOR, NewerSchema, has_valid_crc
from tuning_logs.format.raw_lines import RawLine, raw_lines

#: How much of a log may be read anew at every opening before an index is kept beside it, in bytes.
_WORTH_AN_INDEX: Final = 8 << 20
#: How much a writer adds at least before it keeps the index again, in bytes.
_GROWN: Final = 32 << 20


class FileTail:
    """A log file and the contents read from it so far.

    The tail is what stands behind the last newline: a line that was cut, one that another process is just
    writing, or a whole line that lacks only its newline.
    """

    def __init__(self, file: LogFile, belongs: IndexCheck = is_same) -> None:
        """belongs: checks an index against the file."""
        self.file = file
        # size: how many bytes of the file the contents account for.
        self.contents, self.size = load_index(file, belongs) or (Contents(file), 0)
        self._indexed = self.size
        self._tail: RawLine | None = None

    @property
    def is_current(self) -> bool:
        """Whether the path still leads to the file that was opened, with at least what was read of it."""
        return self.file.size >= self.size and self.file.is_at_its_path()

    @property
    def unread_bytes(self) -> int:
        """The size of what the file holds beyond the contents, a line that is being written included."""
        return self.file.size - self.size

    def catch_up(self, most_bytes: int | None = None) -> None:
        """Takes in the ended lines that are new; most_bytes: no further line is taken after so many.

        Raises Misuse where the file is no tuning log, AutotuneError where it is one of a newer schema.
        """
        self._tail = None
        end = None if most_bytes is None else self.size + most_bytes
        with self.file.reader(self.size) as stream:
            for line in raw_lines(stream, first=self.contents.lines + 1):
                if not line.ended:
                    self._tail = line
                    break
                self._take(line)
                self.size += line.size
                if end is not None and self.size >= end:
                    break
        if self.contents.readable == 0:
            self.file.refuse_other_kinds()

    def keep_index(self) -> None:
        """Keeps an index beside the file, where reading it took long enough to be spared next time."""
        if self.size - self._indexed >= _WORTH_AN_INDEX and not self.file.is_compressed:
            save_index(self.file, self.contents, self.size)
            self._indexed = self.size

    def keep_grown_index(self) -> None:
        """Keeps the index again where the file grew by an eighth since: whoever opens it next reads the rest alone."""
        if self.size - self._indexed >= max(_GROWN, self.size // 8):
            self.keep_index()

    def take_tail(self) -> None:
        """Reads the tail where it is whole, and reports it otherwise; changes nothing in the file."""
        if self._tail is not None and _is_whole(self._tail):
            self._take(self._tail)
        elif self._tail is not None:
            self.contents.report(self._tail.number, f"it was cut off after {self._tail.size} bytes")

    def repair_unless_written(self) -> None:
        """Mends the tail, unless another process holds the lock: then the tail is about to be finished."""
        if self._tail is not None and self.file.lock.try_acquire():
            try:
                self.catch_up()
                self._mend()
            finally:
                self.file.lock.release()

    def prepare(self) -> None:
        """Makes the file ready to be added to: locked, wholly read, ending in a newline.

        Raises StorageError where another process is writing to it, or the path leads to another file by now.
        """
        self.file.lock.acquire()
        if not self.is_current:
            raise StorageError(
                f"expected {self.file.path} to be the file that was opened, found that it was removed, "
                f"replaced or cut since; open the log again",
                code="AT206",
            )
        if self.file.size > self.size:
            self.catch_up()
            self._mend()

    def append(self, data: bytes) -> None:
        """Adds whole lines to a prepared file, and returns when they are on disk."""
        self.file.append(data, self.size)
        self.size += len(data)

    def _mend(self) -> None:
        if self._tail is None:
            return
        size = self._tail.size
        if _is_whole(self._tail):
            self.file.append(b"\n", self.size + size)
            self.take_tail()
            self.size += size + 1
        else:
            self.file.cut(self.size)
            self.take_tail()
        self._tail = None

    def _take(self, line: RawLine) -> None:
        try:
            self.contents.take(line, self.size)
        except NewerSchema as found:
            raise newer_schema(self.file.path, line.number, found) from None


def newer_schema(path: Path, line: int, schema: NewerSchema) -> AutotuneError:
    """The error for a log that only a later version can read."""
    return AutotuneError(
        f"expected a tuning log of schema {SCHEMA_MAJOR}.x, found schema {schema} in line {line} of {path}; "
        f"read it with a newer version of autotune",
        code="AT205",
    )


def _is_whole(line: RawLine) -> bool:
    return line.text is not None and has_valid_crc(line.text)
