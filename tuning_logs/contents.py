"""What a log holds as far as it could be read, and what of it could not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuning_logs.definitions import Definitions
from tuning_logs.line import LINE_START, UnreadableLine, decode_line, has_valid_crc
from tuning_logs.reader import RawLine
from tuning_logs.record import TuningRecord
from tuning_logs.record_index import RecordIndex

#: A file of nothing but damage must not fill the memory with reports of it.
MOST_REPORTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that could not be read: its number, counted from 1, and why."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class Contents:
    """The records, definitions and damage in the lines taken so far.

    lines counts all lines, readable those that could be read.
    """

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.index = RecordIndex()
        self.lines = 0
        self.readable = 0
        self._damage: list[Damage] = []
        self._unreported = 0

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What could not be read: the first MOST_REPORTED lines, the last saying how many more there are."""
        if not self._unreported:
            return tuple(self._damage)
        last = self._damage[-1]
        return (
            *self._damage[:-1],
            Damage(last.line, f"{last.reason} (and {self._unreported} more after it)"),
        )

    def take(self, raw: RawLine) -> None:
        """Reads one more line. Raises NewerSchema where only a later version can read it."""
        self.lines += 1
        if raw.text is None:
            self.report(raw.number, f"it has {raw.size} bytes, more than any line of a tuning log")
        elif raw.text:
            self._take(raw.number, raw.text)

    def add(self, definitions: Definitions, records: Sequence[TuningRecord], lines: int) -> None:
        """Takes in lines that were just written, already turned into records and definitions."""
        self.definitions = definitions
        self.lines += lines
        self.readable += lines
        for record in records:
            self.index.add(record)

    def report(self, line: int, reason: str) -> None:
        """Notes damage."""
        if len(self._damage) < MOST_REPORTED:
            self._damage.append(Damage(line, reason))
        else:
            self._unreported += 1

    def _take(self, number: int, text: bytes) -> None:
        try:
            records = self.definitions.take(decode_line(text))
        except UnreadableLine as reason:
            self.report(number, str(reason))
            # A log whose last line was cut may have been joined with another: that one's first line is whole.
            start = text.rfind(LINE_START, 1)
            if start > 0 and has_valid_crc(text[start:]):
                self._take(number, text[start:])
            return
        self.readable += 1
        for record in records:
            self.index.add(record)
