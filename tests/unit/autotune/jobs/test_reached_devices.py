"""The devices of a job that goes on: as many threads as its earlier runs used."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.devices.device import local_device
from autotune.jobs import plan
from autotune.jobs.job_file import JobRequest
from autotune.jobs.plan import reach
from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    RunStatus,
)
from autotune.jobs.status_file import write_status
from autotune.machine.allowance import Allowance
from autotune.tuning.budget import Budget


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    four = Allowance(tuple(range(4)), 4, 2, 1 << 34, 1 << 33)
    monkeypatch.setattr("autotune.devices.device.read_allowance", lambda: four)
    monkeypatch.setattr(plan, "with_fastest_threads", lambda device, _patience, _server: device)


def job_that_ran_with(folder: Path, threads: int, fingerprint: str) -> JobRequest:
    device = DeviceStatus(
        name="local", connection="local", target="llvm", fingerprint=fingerprint, threads=threads, facts={}
    )
    status = JobStatus(
        name="job",
        run_prefix="job-",
        state=JobState.STOPPED,
        activity="stopped",
        log="log.jsonl",
        updated="2026-01-01T00:00:00+00:00",
        secs=1.0,
        eta_secs=None,
        budget=BudgetStatus(trials=4, secs=None, gain_per_hour=None),
        trials=4,
        expected_gain_per_hour=None,
        runs=(RunStatus(started="2026-01-01T00:00:00+00:00", secs=1.0, pid=1, state=JobState.STOPPED),),
        models=(),
        devices=(device,),
        tasks=(),
        failures={},
    )
    write_status(folder, status)
    return JobRequest("job", (), Budget(4), str(folder / "log.jsonl"), folder)


def test_a_new_job_uses_what_it_may(tmp_path: Path) -> None:
    assert reach(JobRequest("job", (), Budget(4), "", tmp_path), "local").threads == 4


@pytest.mark.parametrize("threads", [1, 2])
def test_a_job_goes_on_with_the_threads_it_began_with(tmp_path: Path, threads: int) -> None:
    request = job_that_ran_with(tmp_path, threads, local_device(threads).fingerprint.key)
    found = reach(request, "local")
    assert (found.threads, found.connection) == (threads, "local")
    assert "earlier runs" in str(found.notice)
    assert reach(request, "local?threads=3").threads == 3


def test_a_job_of_another_machine_is_no_guide(tmp_path: Path) -> None:
    assert reach(job_that_ran_with(tmp_path, 1, "of another machine"), "local").threads == 4
