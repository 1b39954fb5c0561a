"""Failures, drift and times among the rows of a log, from samples of its records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from autotune.reports.failures import common_messages
from autotune.service.pages.job_facts import Drift, FailureFacts
from autotune.service.watch.log_status import LogSpan
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.selection.record_rows import CENSORED, STATUSES, Rows

# Failures of a kind whose messages are read, and trials that tell how steady the machine was.
_SAMPLE = 200
_DRIFT_SAMPLE = 600
_DRIFT_POINTS = 150
_TASKS = 3


def read_failures(log: FollowedLog, rows: Rows, names: Sequence[str]) -> tuple[FailureFacts, ...]:
    """The failures among rows by kind, the most frequent first. names: of the tasks, by their numbers."""
    counts = np.bincount(rows["status"], minlength=len(STATUSES))
    kinds = sorted(range(CENSORED + 1, len(STATUSES)), key=lambda kind: -int(counts[kind]))
    return tuple(_failure(log, rows[rows["status"] == kind], names) for kind in kinds if counts[kind])


def read_drift(log: FollowedLog, rows: Rows) -> Drift:
    """The slowdown of the device over the rows that ran, from an even sample of them."""
    numbers = _even(np.flatnonzero(rows["status"] <= CENSORED), _DRIFT_SAMPLE)
    slowdowns = list(zip(numbers.tolist(), log.reference_slowdowns(rows[numbers]), strict=True))
    if not slowdowns:
        return Drift()
    stretches = np.array_split(np.arange(len(slowdowns)), min(_DRIFT_POINTS, len(slowdowns)))
    worst = [max((slowdowns[place] for place in one), key=lambda each: each[1]) for one in stretches]
    unsteady = sum(slowdown != 1.0 for _, slowdown in slowdowns)
    points = tuple((float(number), slowdown) for number, slowdown in worst)
    return Drift(points, unsteady / len(slowdowns))


def read_span(log: FollowedLog, rows: Rows) -> LogSpan:
    """The times of the first and the last of the rows."""
    if not len(rows):
        return LogSpan()
    first, last = (log.record(rows[place]).provenance.time for place in (0, -1))
    try:
        secs = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (ValueError, TypeError):  # a log may hold any text as a time
        secs = 0.0
    return LogSpan(first, last, max(secs, 0.0))


def _failure(log: FollowedLog, rows: Rows, names: Sequence[str]) -> FailureFacts:
    messages = log.messages(rows[_even(np.arange(len(rows)), _SAMPLE)])
    tasks, counts = np.unique(rows["task"], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_TASKS]
    return FailureFacts(
        STATUSES[int(rows["status"][0])],
        len(rows),
        common_messages(list(messages)),
        tuple((names[int(tasks[place])], int(counts[place])) for place in most),
        log.record(rows[-1]).config.key,
    )


def _even(places: np.ndarray, count: int) -> np.ndarray:
    """At most so many of the places, evenly spread, the last included."""
    if len(places) <= count:
        return places
    return places[np.linspace(0, len(places) - 1, count).astype(np.int64)]
