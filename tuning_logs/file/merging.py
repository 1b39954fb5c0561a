"""Several logs put together into one, line by line, without holding any of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from search_spaces.errors import AutotuneError, Misuse
from tuning_logs.atomic_file import atomically
from tuning_logs.file.follower import newer_schema
from tuning_logs.file.log_file import LogFile
from tuning_logs.format.definitions import Definitions
from tuning_logs.format.line import (
    NewerSchema,
    RecordLine,
    UnknownLine,
    UnreadableLine,
    decode_line,
    whole_end,
)
from tuning_logs.format.raw_lines import raw_lines
from tuning_logs.records.damage import Damage


@dataclass(frozen=True, slots=True)
class Merged:
    """The counts of a merge: records written, duplicates left out, unreadable lines."""

    records: int
    duplicates: int
    damage: dict[Path, list[Damage]] = field(default_factory=dict)


def merge(paths: Sequence[Path], output: Path) -> Merged:
    """Writes the records of several logs into a new one, in the order given, each record once.

    Records are the same where their lines are, byte for byte. Different measurements of one config all stay,
    as repeats. Lines of kinds that only a newer version knows are kept.
    Raises Misuse where a path is no log or the output exists, AutotuneError where the disk is full or a log is of
    a newer schema; then there is no output.
    """
    if os.path.exists(output):
        raise Misuse(
            f"expected a new file to merge into, found that {output} exists; name another file", code="AT208"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomically(output) as scratch, scratch.open("xb") as stream:
            merging = _Merging(stream)
            for path in paths:
                merging.take(path)
    except OSError as error:
        raise AutotuneError(
            f"expected to write {output}, found: {error.strerror}; name another file",
            code="AT803",
        ) from error
    return Merged(merging.records, merging.duplicates, merging.damage)


class _Merging:
    def __init__(self, stream: BinaryIO) -> None:
        self.records = 0
        self.duplicates = 0
        self.damage: dict[Path, list[Damage]] = {}
        self._stream = stream
        self._size = 0
        self._definitions = Definitions()
        self._seen: set[bytes] = set()

    def take(self, path: Path) -> None:
        file = LogFile.for_reading(path)
        readable = 0
        try:
            for number, text in _texts(file):
                try:
                    readable += self._take_line(text)
                except NewerSchema as found:
                    raise newer_schema(path, number, found) from None
                except UnreadableLine as reason:
                    self.damage.setdefault(path, []).append(Damage(number, str(reason)))
            if not readable:
                file.refuse_other_kinds()
        finally:
            file.close()

    def _take_line(self, text: bytes) -> bool:
        try:
            line = decode_line(text)
            is_news = self._definitions.take(line, self._size, len(text) + 1)
        except UnreadableLine:
            if end := whole_end(text):
                self._take_line(end)
            raise
        if isinstance(line, RecordLine | UnknownLine):
            digest = hashlib.blake2b(text, digest_size=16).digest()
            is_news = digest not in self._seen
            self._seen.add(digest)
            self.records += is_news and isinstance(line, RecordLine)
            self.duplicates += not is_news
        if is_news:
            self._size += self._stream.write(text + b"\n")
        return True


def _texts(file: LogFile) -> Iterator[tuple[int, bytes]]:
    with file.reader(0) as stream:
        for raw in raw_lines(stream):
            if raw.text is None:
                yield raw.number, b""
            elif raw.text:
                yield raw.number, raw.text
