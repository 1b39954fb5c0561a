"""The best record of a task on one device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.record_rows import CENSORED, OK, WRONG_RESULT, Rows, groups

#: Reads the record that a row stands for.
Read = Callable[[np.void], TuningRecord]


def best_record(rows: Rows, read: Read) -> TuningRecord | None:
    """The record of the fastest config among rows of one task and device, None where no config ran.

    The records of one config count as one measurement with the repeats of all of them; of equally fast ones, the
    first wins. Censored records count only where there are no others, and a config that ever gave a wrong result
    does not count. A config that other jobs have measured too, as a final measures the best of an earlier job, is
    held against the fastest by the records of the latter's jobs alone: a machine may be faster than it was.
    Only the lines of configs that may have won are read.
    """
    rows = countable(rows)
    if not len(rows):
        return None
    best = _fastest(rows, read)
    judged = _beside(rows, best)
    if len(judged):
        best = _fastest(judged, read)
    same = rows[rows["program"] == best]
    return read(same[0]) if len(same) == 1 else pooled(list(map(read, same)))


def _fastest(rows: Rows, read: Read) -> np.uint64:
    """The program of the fastest config."""
    order, starts, counts = groups(rows["program"])
    first = order[starts]
    # The median of several records' repeats is never below the least of their lower medians.
    least = np.minimum.reduceat(rows["low_secs"][order], starts)
    bounds = np.where(counts == 1, rows["secs"][first], least)
    best, rank = first[0], (np.inf, 0)
    for place in np.lexsort((first, bounds)):
        if bounds[place] > rank[0]:
            break
        same = rows[order[starts[place] : starts[place] + counts[place]]]
        secs = float(same["secs"][0]) if len(same) == 1 else pooled(list(map(read, same))).secs
        if (secs, first[place]) < rank:
            best, rank = first[place], (secs, first[place])
    program: np.uint64 = rows["program"][best]
    return program


def _beside(rows: Rows, best: np.uint64) -> Rows:
    """The timings, by the jobs that measured the best config, of it and of configs that other jobs measured too; empty
    where there are none."""
    is_best = rows["program"] == best
    is_beside = np.isin(rows["job"], rows["job"][is_best])
    is_rival = is_beside & np.isin(rows["program"], rows["program"][~is_beside])
    judged: Rows = rows[is_rival | is_best] if is_rival.any() else rows[:0]
    return judged


def is_better(one: TuningRecord, other: TuningRecord) -> bool:
    """Whether one device's best record beats another's."""
    return _rank(one) < _rank(other)


def countable(rows: Rows) -> Rows:
    """The rows whose times count: no config that was ever wrong, and uncensored ones where there are any."""
    if not len(rows):
        return rows
    order, starts, counts = groups(rows["program"])
    was_wrong = np.logical_or.reduceat(rows["status"][order] == WRONG_RESULT, starts)
    right = np.empty(len(rows), bool)
    right[order] = np.repeat(~was_wrong, counts)
    whole = right & (rows["status"] == OK)
    counted: Rows = rows[whole if whole.any() else right & (rows["status"] == CENSORED)]
    return counted


def _rank(record: TuningRecord) -> tuple[bool, float]:
    assert isinstance(record.measurement, Timing)
    return (record.measurement.censored, record.secs)


def pooled(records: Sequence[TuningRecord]) -> TuningRecord:
    """The last of the records of one config that ran, with the repeats of all of them."""
    timings = [each.measurement for each in records if isinstance(each.measurement, Timing)]
    return replace(records[-1], measurement=Timing.pooled(timings))
