"""Summaries of the tasks on devices of a log: counts, best latencies, improvements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from search_spaces.config import baseline_config
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.best_record import countable
from tuning_logs.selection.improvements import Improvement, Stamp, improvements_among
from tuning_logs.selection.record_rows import Rows, groups, program_of

#: A task's number and a device's number in the log.
Pair = tuple[int, int]
# So many groups are found faster by sorting all rows than one after the other.
_MANY = 16


class TaskSummary(msgspec.Struct, frozen=True, array_like=True):
    """The records of a task on a device: records, different configs, latencies in seconds, improvements.

    first:    offset of the first record, whose weight is the task's;
    baseline: the program of the baseline in the space of that record, see `record_rows`.
    """

    task: int
    device: int
    first: int
    weight: int
    baseline: int
    records: int
    trials: int
    best_secs: float | None
    default_secs: float | None
    improvements: tuple[Improvement, ...]

    @property
    def pair(self) -> Pair:
        """The numbers of task and device."""
        return self.task, self.device


class Lines(Protocol):
    """Reads what rows stand for."""

    def record(self, row: np.void) -> TuningRecord:
        """The record of a row."""
        ...

    def stamps(self, rows: Rows) -> Iterable[Stamp]:
        """The jobs and times of rows."""
        ...


def summaries_of(
    rows: Rows, known: Mapping[Pair, TaskSummary], since: int, lines: Lines
) -> dict[Pair, TaskSummary]:
    """The summaries of all groups in order of first appearance, computed anew for those with rows from `since` on."""
    found = dict(known)
    for pair, own in _grouped(rows, np.unique(_pairs(rows[since:]))):
        found[pair] = _summary(pair, own, known.get(pair), lines)
    return found


def rows_of(rows: Rows, pair: Pair) -> Rows:
    """The rows of a group, in the order of the file."""
    own: Rows = rows[(rows["task"] == pair[0]) & (rows["device"] == pair[1])]
    return own


def _summary(pair: Pair, rows: Rows, known: TaskSummary | None, lines: Lines) -> TaskSummary:
    if known is None:
        first = lines.record(rows[0])
        weight, baseline = first.task.weight, _baseline(first)
    else:
        weight, baseline = known.weight, known.baseline
    counted = countable(rows)
    default = rows["secs"][rows["program"] == baseline]
    return TaskSummary(
        *pair,
        int(rows["offset"][0]),
        weight,
        baseline,
        len(rows),
        len(np.unique(rows["program"])),
        float(counted["secs"].min()) if len(counted) else None,
        _finite(float(np.median(default))) if len(default) else None,
        tuple(improvements_among(rows, lines.stamps)),
    )


def _baseline(record: TuningRecord) -> int:
    return program_of(record.space_version, baseline_config(record.task.target).answers)


def _pairs(rows: Rows) -> NDArray[np.uint64]:
    pairs: NDArray[np.uint64] = rows["task"].astype(np.uint64) << np.uint64(32) | rows["device"]
    return pairs


def _grouped(rows: Rows, wanted: NDArray[np.uint64]) -> Iterator[tuple[Pair, Rows]]:
    """The rows of the wanted pairs, by pair: sorted once where many are wanted."""
    if len(wanted) < _MANY:
        found = [(pair, rows_of(rows, pair)) for pair in map(_pair, wanted.tolist())]
        yield from sorted(found, key=lambda one: int(one[1]["offset"][0]))
        return
    pairs = _pairs(rows)
    order, starts, counts = groups(pairs)
    is_wanted = np.isin(pairs[order[starts]], wanted)
    for start, count in sorted(
        zip(starts[is_wanted].tolist(), counts[is_wanted].tolist(), strict=True),
        key=lambda place: int(order[place[0]]),
    ):
        places = order[start : start + count]
        yield _pair(int(pairs[places[0]])), rows[places]


def _pair(number: int) -> Pair:
    return number >> 32, number & 0xFFFFFFFF


def _finite(secs: float) -> float | None:
    return secs if np.isfinite(secs) else None
