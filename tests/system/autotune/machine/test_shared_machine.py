"""A job on processors that are shared: it goes on, and says with how many threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autotune import Budget, Tuner, TuningJob, local_device, operator_task
from tests.support.control_group import limited
from tuning_logs import TuningLog, read_log

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors"),
]
TUNE = ("tune", "--op", "matmul:64,64,64", "--trials", "4", "--json", "--log", "log.jsonl", "--device")


def tune(
    folder: Path, device: str, enter: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autotune.cli.main", *TUNE, device],
        cwd=folder,
        preexec_fn=enter,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextmanager
def busy(processors: int) -> Iterator[None]:
    """Other programs that keep so many processors busy, three on each."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3 * processors)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


def facts_of(folder: Path) -> list[dict[str, object]]:
    return [dict(one.facts) for one in read_log(str(folder / "log.jsonl")).devices()]


@pytest.mark.long
def test_a_busy_neighbour_does_not_end_a_job(tmp_path: Path) -> None:
    with busy(len(os.sched_getaffinity(0))):
        done = tune(tmp_path, "local")
    assert done.returncode == 0, done.stderr
    [facts] = facts_of(tmp_path)
    tuned_all = facts["threads"] == len(os.sched_getaffinity(0))
    assert tuned_all or f"local?threads={facts['threads']}" in done.stderr


def test_more_threads_than_processors_are_obeyed_with_a_warning(tmp_path: Path) -> None:
    one = min(os.sched_getaffinity(0))
    done = tune(tmp_path, "local?threads=2", lambda: os.sched_setaffinity(0, {one}))
    assert done.returncode == 0, done.stderr
    assert "2 threads are more than" in done.stderr
    [facts] = facts_of(tmp_path)
    assert (facts["threads"], facts["processors"]) == (2, 1)
    assert "2 threads" in json.loads(done.stdout)["machine"]


@pytest.mark.long
def test_a_job_under_a_quota_files_its_records_apart(tmp_path: Path) -> None:
    with limited(processors=0.5) as enter:
        done = tune(tmp_path, "local", enter)
    assert done.returncode == 0, done.stderr
    assert "0.5 of" in done.stderr
    [facts] = facts_of(tmp_path)
    assert (facts["threads"], facts["cpu_quota"]) == (1, 0.5)


def test_what_changes_while_a_job_runs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.runners.thread_watch._FIRST_PAUSE_SECS", 0.0)
    device, own = local_device(1), os.sched_getaffinity(0)
    job = TuningJob((operator_task("matmul:64,64,64", device.target),), device, Budget(trials=4))
    tuner = Tuner(job, TuningLog.in_memory())
    try:
        for _ in tuner.rounds():
            os.sched_setaffinity(0, {min(own)})
    finally:
        os.sched_setaffinity(0, own)
    assert f"1 of {os.cpu_count()} processors (affinity) now" in str(tuner.thread_warning)


def test_threads_that_lose_are_noticed_by_a_tuner_of_ones_own() -> None:
    device, own = local_device(2), os.sched_getaffinity(0)
    job = TuningJob((operator_task("matmul:64,64,64", device.target),), device, Budget(trials=1))
    tuner = Tuner(job, TuningLog.in_memory())
    try:
        os.sched_setaffinity(0, {min(own)})
        list(tuner.rounds())
    finally:
        os.sched_setaffinity(0, own)
    assert "2 threads are" in str(tuner.thread_warning)
