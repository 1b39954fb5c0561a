"""A job run from Python, without the command line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import autotune
from autotune import Budget, TuningLog
from autotune.jobs import run as job_run
from autotune.jobs.run import open_job
from autotune.jobs.status import JobState
from autotune.jobs.status_file import read_status
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from search_spaces import AutotuneError


def test_a_job_runs_and_its_log_can_be_read_afterwards(tmp_path: Path) -> None:
    result = autotune.run_job(toy_plan(tmp_path, Budget(trials=20)), toy_engine(0.0))
    assert (result.status.state, result.status.trials) == (JobState.FINISHED, 20)
    assert len(result.log) == 20 + len(SPACES)
    assert result.webhook_error is None


def test_a_job_that_is_stopped_is_resumed_by_the_next_run(tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, Budget(trials=20))
    with open_job(plan, toy_engine(0.0)) as job:
        for _, happened in job.rounds():
            if happened.records:
                job.stop()
    assert job.result is not None and job.result.status.state is JobState.STOPPED
    assert autotune.run_job(plan, toy_engine(0.0)).status.state is JobState.FINISHED
    assert len(TuningLog.read(tmp_path / "log.jsonl")) == 20 + len(SPACES)


def test_rounds_that_are_closed_leave_a_stopped_status(tmp_path: Path) -> None:
    with (
        open_job(toy_plan(tmp_path, Budget(trials=20)), toy_engine(0.0)) as job,
        closing(job.rounds()) as rounds,
    ):
        next(rounds)
    status = read_status(tmp_path)
    assert status is not None and status.state is JobState.STOPPED


def test_the_result_says_why_the_webhook_was_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_run, "post", lambda url, status: f"{url} was not told of {status.state}")
    plan = toy_plan(tmp_path, Budget(trials=8), webhook="http://here/done")
    error = autotune.run_job(plan, toy_engine(0.0)).webhook_error
    assert error == "http://here/done was not told of finished"


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, Budget(trials=8))
    with open_job(plan, toy_engine(0.0)), pytest.raises(AutotuneError, match="process"):
        autotune.run_job(plan, toy_engine(0.0))
