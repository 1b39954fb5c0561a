"""The hand-out of work: the one place where jobs leave the queue, are started, watched and settled.

A later version may start them elsewhere, as on a Ray cluster, by another `JobStarter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from autotune.cluster.address import HERE, WorkersAddress
from autotune.jobs.status import JobState, JobStatus
from autotune.service.documents import JobOrder, QueueState, Refusal
from autotune.service.job_files import ERROR_FILE, results_of, status_of, write_job
from autotune.service.job_process import JobProcess, JobStarter
from autotune.service.job_queue import Claim, JobQueue, Progress
from autotune.service.model_shelf import ModelShelf
from autotune.service.service_folder import ServiceFolder
from autotune.service.usage import UsageCounter
from search_spaces.errors import AutotuneError, StorageError, StorageRefused
from search_spaces.printable_text import printable

#: Of a claim; it is renewed three times as often, so that a server may be stopped for a while.
LEASE_SECS: Final = 15.0
_NOTE_SECS: Final = 1.0
# A round may compile for a while; after so long a cancelled job is ended.
_STOP_SECS: Final = 60.0
#: Deaths of a job's workers in a row, without a trial in between, after which it fails.
MOST_DEATHS: Final = 10
#: They take as long at least: workers that others killed one after the other cost no job.
_DYING_SECS: Final = 60.0


@dataclass
class _Running:
    claim: Claim
    process: JobProcess
    token: str | None
    noted: float
    spent_secs: float
    renewed: float
    stopped: float | None = None


@dataclass(frozen=True)
class Workplace:
    """The places of a service that a hand-out works with. workers: compile and measure the jobs' candidates."""

    queue: JobQueue
    shelf: ModelShelf
    folder: ServiceFolder
    usage: UsageCounter
    workers: WorkersAddress = HERE


class HandOut:
    """Runs queued jobs, up to `slots` at once. clock: monotonic seconds."""

    def __init__(
        self,
        place: Workplace,
        starter: JobStarter,
        slots: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._starter, self._slots, self._clock = place, starter, slots, clock
        self._owner = place.folder.owner()
        self._running: dict[str, _Running] = {}
        # Of the jobs whose workers die: when that began.
        self._dying: dict[str, float] = {}

    def step(self) -> None:
        """Watches what runs, settles what has ended, and starts what waits.

        Raises StorageError of the store: what has ended is settled at the next step then. A job whose results the store
        refuses has failed.
        """
        for running in list(self._running.values()):
            code = running.process.returncode()
            if code is None:
                self._watch(running)
            else:
                self._settle(running, code)
        while len(self._running) < self._slots:
            claim = self._place.queue.claim(self._owner, LEASE_SECS)
            if claim is None:
                return
            self._start(claim)

    def close(self, patience_secs: float) -> None:
        """Stops what runs, and gives it back to the queue; after so many seconds it is ended."""
        for running in self._running.values():
            running.process.stop()
        until = self._clock() + patience_secs
        while self._running and self._clock() < until:
            for running in list(self._running.values()):
                if (code := running.process.returncode()) is not None:
                    with suppress(StorageError):  # the lease ends, and the next server settles it
                        self._settle(running, code)
            time.sleep(0.02)
        for running in list(self._running.values()):
            running.process.kill()
            with suppress(StorageError):
                self._place.queue.give_back(running.claim)
        self._running.clear()

    def _start(self, claim: Claim) -> None:
        place = self._place
        row = place.queue.row(claim.job)
        try:
            order = msgspec.json.decode(row.order_json, type=JobOrder)
            write_job(place.folder, claim.job, order, place.shelf, place.workers)
            (place.folder.job(claim.job) / ERROR_FILE).unlink(missing_ok=True)
            process = self._starter.start(place.folder.job(claim.job))
        except (AutotuneError, OSError, msgspec.MsgspecError) as error:
            self._fail(claim, f"the job could not be started: {error}")
            return
        now = self._clock()
        self._running[claim.job] = _Running(claim, process, row.token, now, row.run_secs, now)

    def _watch(self, running: _Running) -> None:
        now, queue = self._clock(), self._place.queue
        if now - running.renewed >= LEASE_SECS / 3:
            running.renewed = now
            if not queue.renew(running.claim, LEASE_SECS):  # another server has the job
                running.process.kill()
                del self._running[running.claim.job]
                return
        if now - running.noted >= _NOTE_SECS:
            running.noted = now
            self._note(running, status_of(self._place.folder.output(running.claim.job)))
        if running.stopped is None and queue.row(running.claim.job).is_cancelled:
            running.stopped = now
            running.process.stop()
        elif running.stopped is not None and now - running.stopped > _STOP_SECS:
            running.process.kill()

    def _note(self, running: _Running, status: JobStatus | None) -> None:
        if status is None:
            return
        progress = Progress(status.secs, status.trials, status.eta_secs, status.activity)
        with suppress(StorageRefused):
            self._place.queue.note(running.claim, progress)
        self._place.usage.count(running.token, run_secs=max(0.0, status.secs - running.spent_secs))
        running.spent_secs = max(status.secs, running.spent_secs)

    def _settle(self, running: _Running, code: int) -> None:
        """Ends a job, or gives it back, by how its process ended and by what it has left in its folder."""
        running.process.kill()
        try:
            self._store(running, code)
        except StorageRefused as error:
            self._fail(running.claim, f"its results could not be stored: {error} ({error.code})")
        except StorageError:
            raise
        except (AutotuneError, msgspec.MsgspecError) as error:
            self._fail(running.claim, f"its results could not be read: {error}")
        del self._running[running.claim.job]

    def _store(self, running: _Running, code: int) -> None:
        place, claim = self._place, running.claim
        status = status_of(place.folder.output(claim.job))
        self._note(running, status)
        row = place.queue.row(claim.job)
        state, reason = _verdict(row, status, code, _error_of(place.folder.job(claim.job)))
        if state is QueueState.QUEUED and self._has_died_for_long(claim.job, row.deaths, code):
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            state = QueueState.FAILED
            reason = f"its worker ended {row.deaths + 1} times without a trial, the last time by {how}"
        if state is QueueState.QUEUED:
            place.queue.give_back(claim, deaths=int(code != 0))
            return
        self._dying.pop(claim.job, None)
        order = msgspec.json.decode(row.order_json, type=JobOrder)
        results = results_of(status, order, place.shelf) if status else []
        place.queue.finish(claim, state, None if reason is None else printable(reason), results)

    def _has_died_for_long(self, job: str, deaths: int, code: int) -> bool:
        """Whether the workers of a job end without a trial. deaths: before this one; code: of this exit."""
        now = self._clock()
        if deaths == 0:
            self._dying[job] = now
        began = self._dying.setdefault(job, now)
        return code != 0 and deaths + 1 >= MOST_DEATHS and now - began >= _DYING_SECS

    def _fail(self, claim: Claim, reason: str) -> None:
        self._place.queue.finish(claim, QueueState.FAILED, printable(reason))


def _verdict(
    row: Row[Any], status: JobStatus | None, code: int, error: Refusal | None
) -> tuple[QueueState, str | None]:
    """The state that a job gets when its process has ended: QUEUED where it is to go on."""
    if row.is_cancelled:
        return QueueState.CANCELLED, None
    if code == 0 and status is not None and status.state is JobState.FINISHED:
        if 0 < status.trials <= sum(status.failures.values()):
            kinds = ", ".join(f"{kind} {count}" for kind, count in status.failures.items())
            return QueueState.FAILED, f"no candidate ran: {kinds} (AT507)"
        return QueueState.FINISHED, None
    if error is not None:
        return QueueState.FAILED, f"{error.message} ({error.code})"
    return QueueState.QUEUED, None


def _error_of(folder: Path) -> Refusal | None:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / ERROR_FILE).read_bytes(), type=Refusal)
    return None
