"""A job that is ended at any moment, in any way, goes on as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import SUPPORT

from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_file import read_status
from autotune.testing.toy_job import SPACES, run_toy_job
from search_spaces import ToySpace
from tuning_logs import TuningLog

pytestmark = pytest.mark.alone

TRIALS = 600
# One trial; at that rate the job cannot end before the last kill.
TRIAL_SECS = 0.01


def status_of(folder: Path) -> JobStatus:
    status = read_status(folder)
    assert status is not None
    return status


@pytest.fixture(scope="module", autouse=True)
def warm_server() -> Iterator[None]:
    """A process that has imported everything, from which jobs start at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["autotune.testing.toy_job"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), *sys.path]))
        first = context.Process(target=time.sleep, args=(0,))
        first.start()
        first.join()
        yield


def start(folder: Path, trial_secs: float) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=run_toy_job, args=(folder, TRIALS, trial_secs))
    process.start()
    return process


def wait_for_a_record(path: Path) -> None:
    """On a busy machine a job may need longer to start than it is given."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path.exists() and '"record"' in path.read_text()):
        time.sleep(0.01)


@pytest.mark.parametrize("kills", [5, pytest.param(24, marks=pytest.mark.long)])
def test_killed_at_any_moment_the_log_is_whole_and_no_trial_is_done_twice(tmp_path: Path, kills: int) -> None:
    rng = random.Random(0)
    ends = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
    counts, spent_secs = [], []
    for number in range(kills):
        job = start(tmp_path, TRIAL_SECS)
        time.sleep(rng.uniform(0.05, 0.35))
        if number == kills - 1:
            wait_for_a_record(tmp_path / "log.jsonl")
        assert job.pid is not None
        os.kill(job.pid, ends[number % len(ends)])
        job.join(10)
        assert not job.is_alive()
        if (tmp_path / "log.jsonl").exists():
            counts.append(len(TuningLog.read(tmp_path / "log.jsonl")))
        if (status := read_status(tmp_path)) is not None:
            spent_secs.append(status.secs)
    assert counts == sorted(counts), "nothing that was measured is lost"
    assert spent_secs == sorted(spent_secs), "time that was spent stays spent"
    assert 0 < counts[-1] < TRIALS, "the kills were to come before the end"
    last = start(tmp_path, 0.0)
    last.join(60)
    assert last.exitcode == 0
    log = TuningLog.read(tmp_path / "log.jsonl")
    configs = Counter((record.task.key, record.config) for record in log.iterate())
    assert max(configs.values()) == 1
    defaults = [(task.key, ToySpace(0).default) for task in SPACES]
    assert all(configs[default] == 1 for default in defaults)
    assert len(configs) - len(defaults) == TRIALS
    status = status_of(tmp_path)
    assert (status.state, status.trials) == (JobState.FINISHED, TRIALS)
    assert len({record.provenance.job.id for record in log.iterate()}) >= kills // 4
    assert all(record.provenance.job.id.startswith(status.run_prefix) for record in log.iterate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_polite_end_is_noted(tmp_path: Path, number: signal.Signals) -> None:
    job = start(tmp_path, TRIAL_SECS)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (read_status(tmp_path) is None or status_of(tmp_path).trials < 8):
        time.sleep(0.02)
    assert job.pid is not None
    os.kill(job.pid, number)
    job.join(10)
    status = status_of(tmp_path)
    assert status.state is JobState.STOPPED
    assert status.runs[-1].state is JobState.STOPPED
    assert 8 <= status.trials < TRIALS


def test_a_finished_job_does_nothing_more(tmp_path: Path) -> None:
    run_toy_job(tmp_path, 40, 0.0)
    before = (tmp_path / "log.jsonl").read_bytes()
    run_toy_job(tmp_path, 40, 0.0)
    assert (tmp_path / "log.jsonl").read_bytes() == before
    status = status_of(tmp_path)
    assert len(status.runs) == 2
    assert all(task.best_secs for task in status.tasks), "what is known is still told"


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    run_toy_job(tmp_path, 40, 0.0)
    run_toy_job(tmp_path, 60, 0.0)
    assert len(TuningLog.read(tmp_path / "log.jsonl")) == 60 + len(SPACES)
