"""Jobs of the store as documents: pages of the list, places in the queue, expected starts, the history of a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Row, case, select

from autotune.service.documents import JobDocument, JobOrder, JobPage, QueueState, utc_text, utc_text_or_none
from autotune.service.job_queue import JobQueue
from autotune.service.result_documents import HistoryEntry
from autotune.service.tables import JOB_MODELS, JOBS, RESULTS
from tuning_logs.sql.sql_store import SqlStore

_MOST_HISTORY: Final = 1000


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A choice of jobs: in a state, with a model, older than a number."""

    state: QueueState | None = None
    model: str | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the queue; ahead_secs: what runs and waits before it, None where that has no limit of time."""

    position: int
    ahead_secs: float | None


class JobList:
    """Reads the jobs of a store. slots: jobs that run at once; clock: UNIX time in seconds."""

    def __init__(
        self, store: SqlStore, queue: JobQueue, slots: int = 1, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._queue, self._slots, self._clock = store, queue, slots, clock

    def get(self, job: str) -> JobDocument:
        """The document of a job. Raises Misuse where there is none."""
        return self._documents([self._queue.row(job)])[0]

    def page(self, chosen: JobFilter, limit: int) -> JobPage:
        """Up to `limit` jobs, the newest first."""
        query = select(JOBS).order_by(JOBS.c.number.desc()).limit(limit + 1)
        if chosen.state is not None:
            query = query.where(JOBS.c.state == chosen.state)
        if chosen.model is not None:
            # Newest first from the jobs, each looked up: a join would sort all jobs of the model.
            has_it = select(JOB_MODELS.c.job).where(
                JOB_MODELS.c.job == JOBS.c.id, JOB_MODELS.c.model == chosen.model
            )
            query = query.where(has_it.exists())
        if chosen.before is not None:
            query = query.where(JOBS.c.number < chosen.before)
        rows = self._store.rows(query)
        following = rows[limit - 1].number if len(rows) > limit else None
        return JobPage(tuple(self._documents(rows[:limit])), following)

    def history(self, name: str) -> tuple[HistoryEntry, ...]:
        """The results of all models of a name, the oldest first, each held against the best before it."""
        query = select(RESULTS).where(RESULTS.c.name == name).order_by(RESULTS.c.finished.desc())
        return with_regressions(reversed(self._store.rows(query.limit(_MOST_HISTORY))))

    def _documents(self, rows: list[Row[Any]]) -> list[JobDocument]:
        places = self._places() if any(row.state == QueueState.QUEUED for row in rows) else {}
        return [self._document(row, places.get(row.number)) for row in rows]

    def _document(self, row: Row[Any], place: _Place | None) -> JobDocument:
        start = None if place is None or place.ahead_secs is None else self._clock() + place.ahead_secs
        return JobDocument(
            id=row.id,
            name=row.name,
            state=QueueState(row.state),
            order=msgspec.json.decode(row.order_json, type=JobOrder),
            created=utc_text(row.created),
            started=utc_text_or_none(row.started),
            finished=utc_text_or_none(row.finished),
            position=None if place is None else place.position,
            expected_start=utc_text_or_none(start),
            is_cancelled=bool(row.is_cancelled),
            run_secs=row.run_secs,
            trials=row.trials,
            eta_secs=row.eta_secs,
            activity=row.activity,
            reason=row.reason,
        )

    def _places(self) -> dict[int, _Place]:
        """The places of all queued jobs, by number."""
        secs = JOBS.c.expected_secs - JOBS.c.run_secs
        left = case((secs < 0.0, 0.0), else_=secs)
        remaining = select(JOBS.c.state, JOBS.c.number, left.label("secs")).where(
            JOBS.c.state.in_((QueueState.QUEUED, QueueState.RUNNING))
        )
        rows = self._store.rows(remaining.order_by(JOBS.c.queued, JOBS.c.number))
        running = [row.secs for row in rows if row.state == QueueState.RUNNING]
        ahead: float | None = None if None in running else sum(running) / self._slots
        places: dict[int, _Place] = {}
        for row in rows:
            if row.state == QueueState.QUEUED:
                places[row.number] = _Place(len(places) + 1, ahead)
                ahead = None if ahead is None or row.secs is None else ahead + row.secs / self._slots
        return places


def with_regressions(rows: Iterable[Any]) -> tuple[HistoryEntry, ...]:
    """History entries of results in order of time; each is compared with the fastest before it on its device."""
    best: dict[str, HistoryEntry] = {}
    found = []
    for row in rows:
        known = best.get(row.device)
        entry = HistoryEntry(
            row.job,
            row.model,
            row.sha256,
            row.device,
            utc_text(row.finished),
            row.secs,
            row.low_secs,
            row.high_secs,
            row.trials,
            None if known is None else row.secs / known.secs,
            known is not None and row.low_secs > known.high_secs,
        )
        if known is None or entry.secs < known.secs:
            best[row.device] = entry
        found.append(entry)
    return tuple(found)
