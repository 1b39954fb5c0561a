"""Tasks on devices as a growing log has them: counts, best latencies, improvements; only new rows are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotune.reports.history import Improvement, improvements_among
from search_spaces import TuningTask
from search_spaces.config import baseline_config
from tuning_logs import DeviceFingerprint
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.selection.best_record import countable
from tuning_logs.selection.record_rows import Rows, groups, program_of

#: A task's number and a device's number in the log.
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """The records of a task on a device: records, different configs, latencies in seconds, improvements."""

    pair: Pair
    task: TuningTask
    device: DeviceFingerprint
    records: int
    trials: int
    best_secs: float | None
    default_secs: float | None
    improvements: tuple[Improvement, ...]


class TaskGroups:
    """The groups of a log, by number of task and device, in order of first appearance."""

    def __init__(self, log: FollowedLog) -> None:
        self._log = log
        self._seen = 0
        self._groups: dict[Pair, TaskGroup] = {}

    def update(self) -> None:
        """Takes in the rows that are new, and summarises their groups anew."""
        rows = self._log.rows
        fresh = np.unique(_pairs(rows[self._seen :]))
        for pair, own in _grouped(rows, fresh):
            self._groups[pair] = self._summary(pair, own)
        self._seen = len(rows)

    @property
    def groups(self) -> tuple[TaskGroup, ...]:
        """All groups."""
        return tuple(self._groups.values())

    def rows(self, pair: Pair) -> Rows:
        """The rows of a group, in the order of the file."""
        return _own(self._log.rows, pair)

    def _summary(self, pair: Pair, rows: Rows) -> TaskGroup:
        known = self._groups.get(pair)
        first = self._log.record(rows[0])
        task, device = (known.task, known.device) if known else (first.task, first.device)
        counted = countable(rows)
        default = rows[
            rows["program"] == program_of(first.space_version, baseline_config(task.target).answers)
        ]
        return TaskGroup(
            pair,
            task,
            device,
            len(rows),
            len(np.unique(rows["program"])),
            float(counted["secs"].min()) if len(counted) else None,
            _finite(float(np.median(default["secs"]))) if len(default) else None,
            tuple(improvements_among(rows, self._log.stamps)),
        )


def _pairs(rows: Rows) -> NDArray[np.uint64]:
    pairs: NDArray[np.uint64] = rows["task"].astype(np.uint64) << np.uint64(32) | rows["device"]
    return pairs


def _grouped(rows: Rows, wanted: NDArray[np.uint64]) -> Iterator[tuple[Pair, Rows]]:
    """The rows of the wanted pairs, by pair: sorted once where many are wanted."""
    if len(wanted) < 16:
        for one in wanted.tolist():
            yield _pair(one), _own(rows, _pair(one))
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


def _own(rows: Rows, pair: Pair) -> Rows:
    own: NDArray[Any] = rows[(rows["task"] == pair[0]) & (rows["device"] == pair[1])]
    return own


def _finite(secs: float) -> float | None:
    return secs if np.isfinite(secs) else None
