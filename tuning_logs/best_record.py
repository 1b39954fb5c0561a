"""Which of a task's records on one device is the one to build with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tuning_logs.measurement import Timing
from tuning_logs.record import TuningRecord
from tuning_logs.record_rows import CENSORED, OK, WRONG_RESULT, Rows, groups

#: Reads the record that a row stands for.
Read = Callable[[np.void], TuningRecord]


def best_record(rows: Rows, read: Read) -> TuningRecord | None:
    """The record of the fastest config among rows of one task and device, None where no config ran.

    The records of one config count as one measurement with the repeats of all of them; of equally fast ones, the
    first wins. Censored records count only where there are no others, and a config that ever gave a wrong result
    does not count. Only the lines of configs that may have won are read.
    """
    rows = _countable(rows)
    if not len(rows):
        return None
    order, starts, counts = groups(rows["program"])
    first = order[starts]
    # The median of several records' repeats is never below the least of their lower medians.
    least = np.minimum.reduceat(rows["low_secs"][order], starts)
    bounds = np.where(counts == 1, rows["secs"][first], least)
    best: TuningRecord | None = None
    rank = (np.inf, 0)
    for place in np.lexsort((first, bounds)):
        if bounds[place] > rank[0]:
            break
        same = rows[order[starts[place] : starts[place] + counts[place]]]
        if len(same) == 1 and (bounds[place], first[place]) >= rank:
            continue
        record = read(same[0]) if len(same) == 1 else _pooled(same, read)
        if (record.secs, first[place]) < rank:
            best, rank = record, (record.secs, first[place])
    return best


def is_better(one: TuningRecord, other: TuningRecord) -> bool:
    """Whether one device's best record beats another's."""
    return _rank(one) < _rank(other)


def _countable(rows: Rows) -> Rows:
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


def _pooled(rows: Rows, read: Read) -> TuningRecord:
    """The latest record, with the repeats of all of them."""
    records = [read(row) for row in rows]
    timings = [each.measurement for each in records if isinstance(each.measurement, Timing)]
    return replace(records[-1], measurement=Timing.pooled(timings))
