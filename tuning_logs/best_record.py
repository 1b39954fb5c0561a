"""Which of a task's records on one device is the one to build with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tuning_logs.measurement import Timing
from tuning_logs.record import TuningRecord
from tuning_logs.record_rows import CENSORED, OK, WRONG_RESULT, Rows

#: Reads the record that a row stands for.
Read = Callable[[np.void], TuningRecord]


def best_record(rows: Rows, read: Read) -> TuningRecord | None:
    """The record of the fastest config among rows of one task and device, None where no config ran.

    The records of one config count as one measurement with the repeats of all of them; of equally fast ones, the
    first wins. Censored records count only where there are no others, and a config that ever gave a wrong result
    does not count. Only the lines of configs that may have won are read.
    """
    status, program = rows["status"], rows["program"]
    right = ~np.isin(program, program[status == WRONG_RESULT])
    whole = right & (status == OK)
    rows = rows[whole if whole.any() else right & (status == CENSORED)]
    _, first, inverse, counts = np.unique(
        rows["program"], return_index=True, return_inverse=True, return_counts=True
    )
    # The median of several records' repeats is never below the least of their lower medians.
    bounds = np.full(len(first), np.inf)
    np.minimum.at(bounds, inverse, np.where(counts[inverse] == 1, rows["secs"], rows["low_secs"]))
    best: TuningRecord | None = None
    rank = (np.inf, 0)
    for place in np.lexsort((first, bounds)):
        if bounds[place] > rank[0]:
            break
        lone = counts[place] == 1
        if lone and (bounds[place], first[place]) >= rank:
            continue
        record = read(rows[first[place]]) if lone else _pooled(rows[inverse == place], read)
        if (record.secs, first[place]) < rank:
            best, rank = record, (record.secs, first[place])
    return best


def is_better(one: TuningRecord, other: TuningRecord) -> bool:
    """Whether one device's best record beats another's."""
    return _rank(one) < _rank(other)


def _rank(record: TuningRecord) -> tuple[bool, float]:
    assert isinstance(record.measurement, Timing)
    return (record.measurement.censored, record.secs)


def _pooled(rows: Rows, read: Read) -> TuningRecord:
    """The latest record, with the repeats of all of them."""
    records = [read(row) for row in rows]
    timings = [each.measurement for each in records if isinstance(each.measurement, Timing)]
    run_secs = tuple(secs for timing in timings for secs in timing.run_secs)
    return replace(records[-1], measurement=replace(timings[-1], run_secs=run_secs))
