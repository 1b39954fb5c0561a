"""The in-memory index of records: the position of each line, and the columns of lookups; 49 bytes a record."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from search_spaces.decision import Answer
from tuning_logs.format.line import FailureValue, RecordLine, TimingValue
from tuning_logs.records.measurement import FailureKind

Rows = NDArray[np.void]

#: offset and size: the line in the file, newline included. task, device, job: numbers given by the index.
#: program: digest of space version and config. secs: the median of the repeats; low_secs: the lower of the two
#: middle repeats where their number is even; both infinite for a failure. status: a place in STATUSES.
ROW: Final = np.dtype(
    [
        ("offset", "<i8"),
        ("size", "<u4"),
        ("task", "<u4"),
        ("device", "<u4"),
        ("job", "<u4"),
        ("program", "<u8"),
        ("secs", "<f8"),
        ("low_secs", "<f8"),
        ("status", "u1"),
    ]
)

#: What may come of a trial: it ran, it ran but measuring stopped early, or it failed in one of these ways.
STATUSES: Final = ("ok", "censored", *(kind.value for kind in FailureKind))
OK: Final = STATUSES.index("ok")
CENSORED: Final = STATUSES.index("censored")
WRONG_RESULT: Final = STATUSES.index(FailureKind.WRONG_RESULT)

_PLACES: Final = {status: place for place, status in enumerate(STATUSES)}
_ENCODER: Final = msgspec.json.Encoder()
_SOME: Final = 4096


class RowTable:
    """Rows that may be added to one at a time."""

    def __init__(self, rows: Rows | None = None) -> None:
        self._table: Rows = np.empty(0, ROW) if rows is None else rows
        self._count = len(self._table)
        self._fresh: list[tuple[Any, ...]] = []

    def add(self, line: RecordLine, span: tuple[int, int], numbers: tuple[int, int, int]) -> None:
        """Adds a record's line; span: its offset and size; numbers: those of its task, device and job."""
        standing = standing_of(line.measurement)
        self._fresh.append((*span, *numbers, program_of(line.space, line.config), *standing))
        if len(self._fresh) == _SOME:
            self._settle()

    @property
    def rows(self) -> Rows:
        """All rows, in the order of the file; not to be changed."""
        self._settle()
        return self._table[: self._count]

    def __len__(self) -> int:
        return self._count + len(self._fresh)

    def _settle(self) -> None:
        if not self._fresh:
            return
        count = len(self)
        if count > len(self._table):
            grown = np.empty(max(count, len(self._table) * 3 // 2), ROW)
            grown[: self._count] = self._table[: self._count]
            self._table = grown
        self._table[self._count : count] = np.array(self._fresh, ROW)
        self._count = count
        self._fresh.clear()


def program_of(space_version: str, answers: tuple[tuple[str, Answer], ...]) -> int:
    """A digest of space version and config: the same answers in another version may be another program."""
    text = _ENCODER.encode((space_version, answers))
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def standing_of(measurement: TimingValue | FailureValue) -> tuple[float, float, int]:
    """secs, low_secs and status of a row."""
    if not isinstance(measurement, TimingValue):
        return float("inf"), float("inf"), _PLACES[measurement.failure]
    ordered = sorted(measurement.run_secs)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if measurement.slowdown is not UNSET:
        low, high = low / measurement.slowdown, high / measurement.slowdown
    return (low + high) / 2 if low != high else low, low, CENSORED if measurement.censored else OK


def groups(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Sorts equal values together, the earlier of equals first: the places in that order, where in it each group
    starts, and how many there are in each."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    return order, starts, np.diff(np.append(starts, len(ordered)))
