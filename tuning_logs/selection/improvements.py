"""Improvements of a task over its trials: the trials that were faster than all before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.record_rows import Rows


class Stamp(msgspec.Struct, frozen=True):
    """The job of a record and its time, UTC in ISO 8601."""

    job: str
    time: str


class Improvement(msgspec.Struct, frozen=True, array_like=True):
    """A trial that was faster than all before.

    trial: its number among the task's different configs, the baseline being 0; job: the id of the job that measured
    it; time: UTC in ISO 8601.
    """

    trial: int
    secs: float
    time: str
    job: str


def improvements_of(records: Sequence[TuningRecord]) -> list[Improvement]:
    """The improvements among the records of one task on one device, in their order."""
    found: list[Improvement] = []
    for trial, record in enumerate(first_of_each(records)):
        if record.secs < (found[-1].secs if found else math.inf):
            provenance = record.provenance
            found.append(Improvement(trial, record.secs, provenance.time, provenance.job.id))
    return found


def improvements_among(rows: Rows, read_stamps: Callable[[Rows], Iterable[Stamp]]) -> list[Improvement]:
    """Improvements among the rows of one task on one device, as `improvements_of`; only their lines are read."""
    _, first = np.unique(rows["program"], return_index=True)
    trials = rows[np.sort(first)]
    best = np.minimum.accumulate(trials["secs"]) if len(trials) else trials["secs"]
    found = np.flatnonzero(np.append(np.inf, best[:-1])[: len(best)] > best)
    stamps = read_stamps(trials[found])
    return [
        Improvement(trial, secs, stamp.time, stamp.job)
        for trial, secs, stamp in zip(found.tolist(), best[found].tolist(), stamps, strict=True)
    ]


def first_of_each(records: Iterable[TuningRecord]) -> list[TuningRecord]:
    """The first record of each config, in their order: finalists have several."""
    found: dict[tuple[str, object], TuningRecord] = {}
    for record in records:
        found.setdefault((record.space_version, record.config), record)
    return list(found.values())
