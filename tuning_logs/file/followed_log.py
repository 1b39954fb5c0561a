"""A log that is read on while another process adds to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from search_spaces.decision import Answer
from search_spaces.task import TuningTask
from tuning_logs.file.follower import FileTail
from tuning_logs.file.index_file import looks_same
from tuning_logs.file.log import TuningLog
from tuning_logs.file.log_file import LogFile
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.selection.record_rows import Rows
from tuning_logs.selection.task_summary import Pair, TaskSummary

Answers = tuple[tuple[str, Answer], ...]


class _ConfigField(msgspec.Struct, frozen=True):
    config: Answers


class _Told(msgspec.Struct, frozen=True):
    message: str = ""
    reference_slowdown: float = 1.0


class _ToldField(msgspec.Struct, frozen=True):
    measurement: _Told


_TOLD: Final = msgspec.json.Decoder(_ToldField)
_CONFIG: Final = msgspec.json.Decoder(_ConfigField)


class FollowedLog(TuningLog):
    """A log that is never written to, and read a part at a time.

    >>> log = FollowedLog.follow("out/night/log.jsonl")
    >>> while log.is_behind:
    ...     log.catch_up(1 << 20)
    """

    def __init__(self, tail: FileTail) -> None:
        super().__init__(tail.contents, tail)
        self._tail = tail
        self._accepts = False
        self._is_whole = False

    @classmethod
    def follow(cls, path: str | os.PathLike[str]) -> Self:
        """Opens a log and reads no more than its index, if there is one that looks like the log's.

        Raises Misuse where there is no such file.
        """
        return cls(FileTail(LogFile.for_reading(Path(path)), looks_same))

    def catch_up(self, most_bytes: int) -> None:
        """Reads on for about so many bytes; keeps an index beside the file once all of it was read.

        A line without its end is left for later. Raises Misuse where the file holds something else than a log, and
        AutotuneError where the log is of a newer schema.
        """
        before = self._tail.size
        self._tail.catch_up(most_bytes)
        if self._tail.size == before and not self._is_whole:
            self._is_whole = True
            self._tail.keep_index()

    @property
    def is_behind(self) -> bool:
        """Whether lines may have been added that were not read."""
        return not self._is_whole or self._tail.unread_bytes > 0

    @property
    def read_share(self) -> float:
        """The part of the file that was read, 0 to 1."""
        return self._tail.size / max(self._tail.file.size, 1)

    @property
    def is_current(self) -> bool:
        """Whether the path still leads to the file that was opened, with at least what was read of it."""
        return self._tail.is_current

    def summaries(self) -> Mapping[Pair, TaskSummary]:
        """The summary of each task on each device; raises as `answers` does."""
        return self._contents.summaries()

    def subjects(self, summaries: Iterable[TaskSummary]) -> Iterator[tuple[TuningTask, DeviceFingerprint]]:
        """The task and the device of each summary."""
        return self._contents.subjects(summaries)

    def answers(self, rows: Rows) -> Iterator[Answers]:
        """The configs of rows, and nothing else of their lines: several times as fast as their records.

        Raises StorageError where the file was changed meanwhile.
        """
        return (one.config for one in self._contents.fields(rows, _CONFIG))

    def messages(self, rows: Rows) -> Iterator[str]:
        """The messages of rows that failed, as `answers` reads."""
        return (one.measurement.message for one in self._contents.fields(rows, _TOLD))

    def reference_slowdowns(self, rows: Rows) -> Iterator[float]:
        """The slowdowns that the device's reference kernel told, as `answers` reads."""
        return (one.measurement.reference_slowdown for one in self._contents.fields(rows, _TOLD))
