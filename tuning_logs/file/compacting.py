"""A smaller log that builds as fast and teaches a cost model nearly as much."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import AutotuneError, Misuse
from tuning_logs.atomic_file import atomically
from tuning_logs.file.log import TuningLog
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.best_record import best_record
from tuning_logs.selection.record_rows import CENSORED, WRONG_RESULT, Rows, groups, program_of

_BATCH = 1000
#: Of the sample, one in this many is a failure, if there are so many: a cost model learns from them what not to try.
_FAILURES_IN = 5


@dataclass(frozen=True, slots=True)
class Compacted:
    """The numbers of records kept, and of records before."""

    kept: int
    records: int


def compact(path: Path, output: Path, top: int, sample: int) -> Compacted:
    """Writes the best `top` configs of every task and device into a new log, its first record (the baseline), and
    a sample of up to `sample` more configs spread evenly over the speeds measured; failures are a fifth of them.

    All records of a config are kept or none, in the order of the log, so that what is best stays best.
    Raises Misuse where the output exists or a number is negative, and what `TuningLog.read` and `append` raise.
    """
    if os.path.exists(output):
        raise Misuse(
            f"expected a new file to write to, found that {output} exists; name another file", code="AT208"
        )
    if top < 1 or sample < 0:
        raise Misuse(
            f"expected to keep at least one config and a sample of 0 or more; found {top} and {sample}",
            code="AT805",
        )
    log = TuningLog.read(path)
    rows = log.rows
    kept = np.zeros(len(rows), bool)
    # One number for each pair of task and device.
    order, starts, counts = groups(rows["task"].astype(np.uint64) << np.uint64(32) | rows["device"])
    for start, count in zip(starts, counts, strict=True):
        places = order[start : start + count]
        best = best_record(rows[places], log.record)
        best_program = None if best is None else program_of(best.space_version, best.config.answers)
        kept[places[_chosen(rows[places], best_program, top, sample)]] = True
    try:
        with atomically(output) as scratch, TuningLog.open(scratch) as small:
            for batch in _batches(log, rows[kept]):
                small.append(batch)
    except OSError as error:
        raise AutotuneError(
            f"expected to write {output}, found: {error.strerror}; name another file", code="AT803"
        ) from error
    return Compacted(int(kept.sum()), len(rows))


def _chosen(rows: Rows, best: int | None, top: int, sample: int) -> NDArray[np.bool_]:
    """The rows of one task and device to keep."""
    order, starts, _ = groups(rows["program"])
    programs = rows["program"][order[starts]]
    # Censored times come after all others, as nothing is built from them; what was ever wrong failed.
    secs = np.where(rows["status"] == CENSORED, rows["secs"] * 1e12, rows["secs"])
    fastest = np.minimum.reduceat(secs[order], starts)
    fastest[np.logical_or.reduceat(rows["status"][order] == WRONG_RESULT, starts)] = np.inf
    if best is not None:
        fastest[programs == best] = 0.0  # whatever a lucky run of another config says
    by_speed = np.argsort(fastest, kind="stable")
    running = by_speed[: int(np.isfinite(fastest).sum())]
    failing = by_speed[len(running) :]
    others = running[top:]
    failures = min(len(failing), max(sample // _FAILURES_IN, sample - len(others)))
    places = [
        running[:top],
        others[_spread(len(others), sample - failures)],
        failing[_spread(len(failing), failures)],
        np.flatnonzero(programs == rows["program"][0]),
    ]
    return np.isin(rows["program"], programs[np.concatenate(places)])


def _spread(count: int, wanted: int) -> NDArray[np.intp]:
    """Up to `wanted` places among `count`, evenly spaced, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.intp))


def _batches(log: TuningLog, rows: Rows) -> Iterator[list[TuningRecord]]:
    for start in range(0, len(rows), _BATCH):
        yield log.records(rows[start : start + _BATCH])
