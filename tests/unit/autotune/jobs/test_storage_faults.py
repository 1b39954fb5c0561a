"""A job whose log or folder takes no more: it ends at once, with what was measured until then."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune import Budget, TuningLog, run_job
from autotune.jobs.run import JobRun, open_job
from autotune.jobs.status import JobState
from autotune.jobs.status_file import read_status
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from search_spaces.errors import StorageError

TRIALS = 20
BUDGET = Budget(trials=TRIALS)


class FullDisk:
    """Takes so many bytes of writes to descriptors, then a part of one, then nothing."""

    def __init__(self, free_bytes: int, error: int) -> None:
        self.free_bytes = free_bytes
        self.error = error
        self._write = os.write

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if not self.free_bytes:
            raise OSError(self.error, os.strerror(self.error))
        written = self._write(descriptor, data[: self.free_bytes])
        self.free_bytes -= written
        return written


def spoil_after_each_round(job: JobRun, spoil: Callable[[], None]) -> None:
    for _, happened in job.rounds():
        if happened.records:
            spoil()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 9_000),
    st.sampled_from([errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE]),
)
def test_a_full_disk_ends_the_job_and_the_same_job_goes_on_when_there_is_room(
    tmp_path_factory: pytest.TempPathFactory, free_bytes: int, error: int
) -> None:
    folder = tmp_path_factory.mktemp("job")
    plan = toy_plan(folder, BUDGET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", FullDisk(free_bytes, error).write)
        with pytest.raises(StorageError, match=f"log.jsonl, found: {os.strerror(error)}"):
            run_job(plan, toy_engine(0.0))
    kept = TuningLog.read(folder / "log.jsonl")
    assert not kept.damage
    status = read_status(folder)
    assert status is not None and status.state is JobState.FAILED and os.strerror(error) in status.activity
    assert all(device.quarantine is None for device in status.devices)
    done = run_job(plan, toy_engine(0.0))
    assert (done.status.state, done.status.trials) == (JobState.FINISHED, TRIALS)
    assert len(TuningLog.read(folder / "log.jsonl")) == TRIALS + len(SPACES)


@pytest.mark.parametrize("fault", ["deleted", "replaced", "cut"])
def test_a_log_that_changes_hands_under_a_job_ends_it(tmp_path: Path, fault: str) -> None:
    log = tmp_path / "log.jsonl"

    def spoil() -> None:
        if fault == "cut":
            os.truncate(log, 100)
        elif log.exists():
            log.rename(tmp_path / "away")
            if fault == "replaced":
                log.write_bytes((tmp_path / "away").read_bytes())

    with (
        open_job(toy_plan(tmp_path, BUDGET), toy_engine(0.0)) as job,
        pytest.raises(StorageError, match="removed, replaced or cut"),
    ):
        spoil_after_each_round(job, spoil)
    assert job.result is not None and job.result.status.state is JobState.FAILED


def test_a_lock_note_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    with open_job(toy_plan(tmp_path, BUDGET), toy_engine(0.0)) as job:
        for _ in job.rounds():
            (tmp_path / "log.jsonl.lock").unlink(missing_ok=True)
    assert job.result is not None and job.result.status.state is JobState.FINISHED


def test_a_folder_that_takes_no_status_ends_the_job_and_the_webhook_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("autotune.jobs.run.post", lambda _url, status: told.append(status.state))
    plan = toy_plan(tmp_path, BUDGET, webhook="http://here/")
    status = tmp_path / "status.json"

    def spoil() -> None:
        status.unlink(missing_ok=True)
        status.mkdir()

    with open_job(plan, toy_engine(0.0)) as job, pytest.raises(StorageError, match="Is a directory"):
        spoil_after_each_round(job, spoil)
    assert not (tmp_path / f".status.json.{os.getpid()}").exists()
    assert told == [JobState.FAILED]
