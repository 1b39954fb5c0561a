"""Jobs that the store refuses, or cannot take for a while, are not tried again for ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from literal_texts import literal_status
from msgspec.structs import replace
from shelved_model import shelve

from autotune.jobs.status import JobState
from autotune.jobs.status_file import write_status
from autotune.service import hand_out
from autotune.service.documents import JobOrder, ModelOrder, QueueState
from autotune.service.hand_out import MOST_DEATHS, HandOut, Workplace
from autotune.service.job_queue import Claim, JobQueue, Result, Submission
from autotune.service.service import Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.tables import JOBS
from search_spaces.errors import StorageRefused, StorageUnreachable


@dataclass
class Ended:
    """A process that has finished its job."""

    code: int = 0

    def returncode(self) -> int | None:
        return self.code

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


class Starter:
    """Leaves the status of a finished job at once. activity: in it."""

    def __init__(self, activity: str) -> None:
        self.activity, self.started = activity, 0

    def start(self, folder: Path) -> Ended:
        self.started += 1
        out = folder / "out"
        out.mkdir(exist_ok=True)
        write_status(out, replace(literal_status(), state=JobState.FINISHED, activity=self.activity))
        return Ended()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return open_service(ServiceFolder(tmp_path / "service"))


def handed_out(service: Service, activity: str = "done") -> tuple[HandOut, Starter, str]:
    starter = Starter(activity)
    place = Workplace(service.queue, service.shelf, service.folder, service.usage)
    job = service.queue.submit(Submission("m", JobOrder((ModelOrder(shelve(service)),), trials=1), None))
    return HandOut(place, starter), starter, job


def test_a_job_whose_results_are_refused_has_failed_with_the_reason(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = Result("m1", "d\ud800", "m", "0", 1.0, 1.0, 1.0, 2**70)
    monkeypatch.setattr(hand_out, "results_of", lambda *_: [huge])
    work, starter, job = handed_out(service)
    for _ in range(5):
        work.step()
    row = service.queue.row(job)
    assert (row.state, starter.started) == (QueueState.FAILED, 1)
    assert "its results could not be stored" in row.reason
    assert row.reason.endswith("(AT809)")


def test_results_wait_for_a_store_that_is_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    work, starter, job = handed_out(service)
    finish, away = JobQueue.finish, [True] * 3

    def finish_later(
        queue: JobQueue, claim: Claim, state: QueueState, reason: str | None, results: list[Result]
    ) -> bool:
        if away:
            away.pop()
            raise StorageUnreachable("the database restarts")
        return finish(queue, claim, state, reason, results)

    monkeypatch.setattr(JobQueue, "finish", finish_later)
    work.step()
    for _ in range(3):
        with pytest.raises(StorageUnreachable):
            work.step()
    work.step()
    assert (service.queue.row(job).state, starter.started) == (QueueState.FINISHED, 1)


def test_progress_that_is_refused_costs_no_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageRefused("no text")

    monkeypatch.setattr(JobQueue, "note", refuse)
    work, starter, job = handed_out(service)
    work.step()
    work.step()
    assert (service.queue.row(job).state, starter.started) == (QueueState.FINISHED, 1)


def test_an_order_that_cannot_be_read_has_failed(service: Service) -> None:
    work, starter, job = handed_out(service)
    with service.store.engine.begin() as connection:
        connection.execute(JOBS.update().values(order_json='{"models": 1}'))
    work.step()
    row = service.queue.row(job)
    assert (row.state, starter.started) == (QueueState.FAILED, 0)
    assert "could not be started" in row.reason


@pytest.mark.parametrize("restarted", [False, True])
def test_a_job_fails_whose_workers_die_for_a_minute_and_not_one_whose_workers_were_killed(
    service: Service, restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(Starter, "start", lambda *_: Ended(-9))
    starter = Starter("")
    place = Workplace(service.queue, service.shelf, service.folder, service.usage)
    job = service.queue.submit(Submission("m", JobOrder((ModelOrder(shelve(service)),), trials=1), None))
    work = HandOut(place, starter, clock=lambda: now[0])
    for _ in range(3 * MOST_DEATHS):
        work.step()
        now[0] += 1.0
    row = service.queue.row(job)
    assert (row.state, row.reason) == (QueueState.RUNNING, None)
    if restarted:
        service.queue.recover(service.folder.owner())
        work = HandOut(place, starter, clock=lambda: now[0])
    for _ in range(70):
        work.step()
        now[0] += 1.0
    row = service.queue.row(job)
    assert row.state == QueueState.FAILED
    assert "times without a trial, the last time by signal 9" in row.reason
