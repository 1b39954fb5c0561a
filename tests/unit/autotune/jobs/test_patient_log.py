"""A log that waits for its database: for as long as there is time, and for nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune import Budget
from autotune.jobs.patient_log import Patience, PatientLog
from autotune.jobs.plan import JobPlan
from autotune.jobs.run import open_job
from autotune.jobs.status import JobState
from autotune.jobs.status_file import read_status
from autotune.testing.record_store_laws import RecordStoreLaws
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from search_spaces import AutotuneError
from search_spaces.errors import StorageError, StorageUnreachable
from tuning_logs import TuningLog, TuningRecord
from tuning_logs.sql.sql_log import SqlLog


class FakeTime:
    def __init__(self) -> None:
        self.secs = 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


class Away:
    """A database that does not answer for a while, from a moment on."""

    def __init__(self, time: FakeTime, until_secs: float) -> None:
        self.time, self.until_secs = time, until_secs

    def call(self) -> float:
        if self.time.secs < self.until_secs:
            raise StorageUnreachable(f"away at {self.time.secs:.1f} s")
        return self.time.secs


def patience(time: FakeTime, notes: list[str], is_over: Callable[[], bool] = lambda: False) -> Patience:
    return Patience(lambda error: notes.append(str(error)), is_over, lambda: time.secs, time.sleep)


@given(st.floats(0, 3000))
def test_it_is_asked_again_until_it_answers_at_most_half_a_minute_late(until_secs: float) -> None:
    time, notes = FakeTime(), list[str]()
    answered = patience(time, notes).wait_for(Away(time, until_secs).call)
    assert until_secs <= answered <= until_secs + 30.3
    assert len(notes) <= 6 + until_secs / 30 and bool(notes) == (until_secs > 0)


@given(st.floats(0, 1000))
def test_waiting_ends_with_the_time_of_the_job(end_secs: float) -> None:
    time = FakeTime()
    waiting = patience(time, [], lambda: time.secs >= end_secs)
    with pytest.raises(StorageUnreachable):
        waiting.wait_for(Away(time, float("inf")).call)
    assert end_secs <= time.secs <= end_secs + 0.3


def test_it_is_given_up_after_an_hour() -> None:
    time = FakeTime()
    with pytest.raises(StorageUnreachable):
        patience(time, []).wait_for(Away(time, float("inf")).call)
    assert 3600 < time.secs < 3700


@pytest.mark.parametrize("fault", [AutotuneError("x"), StorageError("x"), ValueError("x")])
def test_nothing_else_is_waited_for(fault: Exception) -> None:
    def call() -> None:
        raise fault

    with pytest.raises(type(fault)):
        patience(FakeTime(), []).wait_for(call)


class TestAsALog(RecordStoreLaws):
    @pytest.fixture
    def store(self) -> PatientLog:
        return PatientLog(TuningLog.in_memory(), patience(FakeTime(), []))


def test_a_job_waits_for_its_database_says_so_and_loses_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended, states, said = SqlLog.append, list[str](), list[str]()
    failures = iter([True, True, False, True] + [False] * 100)

    def append(log: SqlLog, records: Sequence[TuningRecord]) -> None:
        if records and next(failures):
            raise StorageUnreachable("the server is gone")
        appended(log, records)

    monkeypatch.setattr(SqlLog, "append", append)
    monkeypatch.setattr("autotune.jobs.patient_log.time.sleep", lambda _secs: None)
    monkeypatch.setattr(
        "autotune.jobs.patient_log.Patience._pause", lambda *_: states.append(state_of(tmp_path))
    )
    url = f"sqlite:///{tmp_path}/store.db"
    plan = plan_with_log(tmp_path, url)
    with open_job(plan, toy_engine(0.0)) as job:
        job.say = said.append
        deque(job.rounds(), maxlen=0)
    assert job.result is not None and job.result.status.state is JobState.FINISHED
    assert states == ["running: waiting for the log: the server is gone"] * 3
    assert said == ["waiting for the log: the server is gone"] * 2
    with SqlLog.open(url) as log:
        assert len(log) == 20 + len(SPACES)


def plan_with_log(folder: Path, log: str) -> JobPlan:
    plan = toy_plan(folder, Budget(trials=20))
    return replace(plan, request=replace(plan.request, log=log))


def state_of(folder: Path) -> str:
    status = read_status(folder)
    assert status is not None
    return f"{status.state}: {status.activity}"


def test_a_stop_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def append(_log: SqlLog, records: Sequence[TuningRecord]) -> None:
        if records:
            raise StorageUnreachable("the server is gone")

    monkeypatch.setattr(SqlLog, "append", append)
    plan = plan_with_log(tmp_path, f"sqlite:///{tmp_path}/store.db")
    with open_job(plan, toy_engine(0.0)) as job:
        job.say = lambda _text: job.stop()
        with pytest.raises(StorageUnreachable):
            deque(job.rounds(), maxlen=0)
    assert job.result is not None and job.result.status.state is JobState.FAILED
