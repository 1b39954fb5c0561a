"""The queue of jobs in the store. Every change of a state is one transaction, and none is made by a stale claim."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy import Row, func, select
from sqlalchemy.dialects import postgresql, sqlite

from autotune.service.documents import JobOrder, QueueState
from autotune.service.tables import JOB_MODELS, JOBS, RESULTS
from search_spaces.errors import Misuse
from tuning_logs.sql.sql_store import SqlStore

_ID_BYTES: Final = 6
_OVER: Final = tuple(state for state in QueueState if state.is_over)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a server runs; fence: the number of the claim, the same as the store's while the claim holds."""

    job: str
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The summary of a running job's status."""

    run_secs: float
    trials: int
    eta_secs: float | None
    activity: str


@dataclass(frozen=True, slots=True)
class Result:
    """The latency of a library that a job has made; see `tables.RESULTS`."""

    model: str
    device: str
    name: str
    sha256: str
    secs: float
    low_secs: float
    high_secs: float
    trials: int


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be queued. request_key: the same for the same request, so that a repeated one adds nothing."""

    name: str
    order: JobOrder
    expected_secs: float | None
    token: str | None = None
    request_key: str | None = None


class JobQueue:
    """The jobs of a store. clock: UNIX time in seconds."""

    def __init__(self, store: SqlStore, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    def submit(self, wanted: Submission) -> str:
        """Queues a job, and returns its id; that of the earlier one where the same request has come before."""
        now = self._clock()
        job = secrets.token_hex(_ID_BYTES)
        row = {
            "id": job,
            "name": wanted.name,
            "state": QueueState.QUEUED,
            "order_json": msgspec.json.encode(wanted.order).decode(),
            "token": wanted.token,
            "request_key": wanted.request_key,
            "created": now,
            "queued": now,
            "expected_secs": wanted.expected_secs,
            "fence": 0,
            "deaths": 0,
            "is_cancelled": False,
            "run_secs": 0.0,
            "trials": 0,
            "activity": "queued",
        }
        models = [
            {"job": job, "model": model} for model in dict.fromkeys(one.model for one in wanted.order.models)
        ]

        def insert(connection: sqlalchemy.Connection) -> str:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            connection.execute(dialect.insert(JOBS).values(row).on_conflict_do_nothing())
            if wanted.request_key is not None:
                same = select(JOBS.c.id).where(JOBS.c.request_key == wanted.request_key)
                if (earlier := connection.scalar(same)) != job:
                    return str(earlier)
            connection.execute(JOB_MODELS.insert(), models)
            return job

        return self._store.write(insert)

    def row(self, job: str) -> Row[Any]:
        """The row of a job. Raises Misuse where there is none."""
        rows = self._store.rows(select(JOBS).where(JOBS.c.id == job))
        if not rows:
            raise Misuse(f"expected the id of a job, found {job[:40]!r}", code="AT903")
        return rows[0]

    def waiting(self) -> int:
        """The number of jobs that are queued."""
        query = select(func.count()).select_from(JOBS).where(JOBS.c.state == QueueState.QUEUED)
        return int(self._store.rows(query)[0][0])

    def claim(self, owner: str, lease_secs: float) -> Claim | None:
        """Claims the first job of the queue for a server; None where none waits."""
        first = select(JOBS.c.number, JOBS.c.id, JOBS.c.fence).where(JOBS.c.state == QueueState.QUEUED)
        query = first.order_by(JOBS.c.queued, JOBS.c.number).limit(1)
        while rows := self._store.rows(query):
            [row] = rows
            now = self._clock()
            change = (
                JOBS.update()
                .where(
                    JOBS.c.number == row.number,
                    JOBS.c.state == QueueState.QUEUED,
                    JOBS.c.fence == row.fence,
                )
                .values(
                    state=QueueState.RUNNING,
                    fence=row.fence + 1,
                    owner=owner,
                    lease_until=now + lease_secs,
                    started=func.coalesce(JOBS.c.started, now),
                    activity="starting",
                )
            )
            if self._changes(change):
                return Claim(row.id, row.fence + 1)
        return None

    def renew(self, claim: Claim, lease_secs: float) -> bool:
        """Extends a claim's lease; False where the claim does not hold any more, and its worker has to end."""
        return self._changes(_held(claim).values(lease_until=self._clock() + lease_secs))

    def note(self, claim: Claim, progress: Progress) -> None:
        """Keeps the summary of a running job; progress resets the count of its workers' deaths."""
        change = _held(claim).values(
            run_secs=progress.run_secs,
            trials=progress.trials,
            eta_secs=progress.eta_secs,
            activity=progress.activity,
            deaths=sqlalchemy.case((JOBS.c.trials < progress.trials, 0), else_=JOBS.c.deaths),
        )
        self._changes(change)

    def finish(
        self, claim: Claim, state: QueueState, reason: str | None, results: Sequence[Result] = ()
    ) -> bool:
        """Ends a claimed job with its results in one transaction; False where the claim does not hold any more."""
        now = self._clock()
        rows = [{"job": claim.job, "finished": now, **_fields(one)} for one in results]
        change = _held(claim).values(
            state=state, reason=reason, finished=now, eta_secs=None, owner=None, lease_until=None
        )

        def end(connection: sqlalchemy.Connection) -> bool:
            if not connection.execute(change).rowcount:
                return False
            connection.execute(RESULTS.delete().where(RESULTS.c.job == claim.job))
            if rows:
                connection.execute(RESULTS.insert(), rows)
            return True

        return self._store.write(end)

    def give_back(self, claim: Claim, deaths: int = 0) -> bool:
        """Puts a claimed job back where it was in the queue; deaths: of its worker, 1 where it ended by itself."""
        change = _held(claim).values(
            state=QueueState.QUEUED,
            owner=None,
            lease_until=None,
            deaths=JOBS.c.deaths + deaths,
            activity="goes on soon",
        )
        return self._changes(change)

    def recover(self, owner: str) -> int:
        """Puts back the jobs that an earlier server of the same owner ran, and those whose lease has ended."""
        is_stale = sqlalchemy.or_(JOBS.c.owner == owner, JOBS.c.lease_until < self._clock())
        change = (
            JOBS.update()
            .where(JOBS.c.state == QueueState.RUNNING, is_stale)
            .values(state=QueueState.QUEUED, owner=None, lease_until=None, activity="goes on soon")
        )
        return self._store.write(lambda connection: int(connection.execute(change).rowcount))

    def cancel(self, job: str) -> None:
        """Cancels a queued job, and has a running one stopped. Raises Misuse for one that is over."""
        now = self._clock()
        here = JOBS.update().where(JOBS.c.id == job)
        queued = here.where(JOBS.c.state == QueueState.QUEUED).values(
            state=QueueState.CANCELLED, is_cancelled=True, finished=now, activity="cancelled"
        )
        running = here.where(JOBS.c.state == QueueState.RUNNING).values(is_cancelled=True)
        # Between the two statements a queued job may start: then the second finds it.
        if self._changes(queued) or self._changes(running):
            return
        row = self.row(job)
        raise Misuse(f"expected a job that waits or runs, found {job} {row.state}", code="AT904")

    def again(self, job: str, order: JobOrder, expected_secs: float | None) -> None:
        """Queues a job that is over with another budget. Raises Misuse for one that waits or runs."""
        change = (
            JOBS.update()
            .where(JOBS.c.id == job, JOBS.c.state.in_(_OVER))
            .values(
                state=QueueState.QUEUED,
                order_json=msgspec.json.encode(order).decode(),
                queued=self._clock(),
                expected_secs=expected_secs,
                finished=None,
                reason=None,
                deaths=0,
                is_cancelled=False,
                activity="queued",
            )
        )
        if not self._changes(change):
            row = self.row(job)
            raise Misuse(f"expected a job that is over, found {job} {row.state}", code="AT904")

    def _changes(self, change: sqlalchemy.Update) -> bool:
        return self._store.write(lambda connection: bool(connection.execute(change).rowcount))


def _held(claim: Claim) -> sqlalchemy.Update:
    """A change of a claimed job, which changes nothing where another claim was made since."""
    return JOBS.update().where(
        JOBS.c.id == claim.job, JOBS.c.fence == claim.fence, JOBS.c.state == QueueState.RUNNING
    )


def _fields(result: Result) -> dict[str, object]:
    return {name: getattr(result, name) for name in Result.__dataclass_fields__}
