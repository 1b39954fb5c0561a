"""Thousands of trials in one process: what grows, and what must not."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import psutil
import pytest

from autotune.jobs.engine import JobEngine
from autotune.jobs.job_file import JobRequest
from autotune.jobs.plan import JobPlan, PlannedModel, share_out
from autotune.jobs.status_writer import StatusWriter
from autotune.search.samplers import SamplerKind
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Died, Returned
from search_spaces import ToySpace
from tuning_logs import TuningLog

SPACES = {space.task: space for space in (ToySpace(1 << size) for size in range(6, 20))}
MIB = 1 << 20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("trials", [1200, pytest.param(2400, marks=pytest.mark.long)])
def test_memory_and_descriptors_stay_flat_over_thousands_of_trials(
    trials: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    request = JobRequest("soak", (), Budget(trials=trials), "", batch=16, sampler=SamplerKind.COST_MODEL)
    plan = JobPlan(
        request,
        share_out([(DEVICE, [PlannedModel("toys", tuple(SPACES))])]),
        lambda task: SPACES[task],
    )
    machine = ToyMachine()
    used, opened = [], []
    with TuningLog.open(tmp_path / "out" / "log.jsonl") as log:
        engine = JobEngine(
            plan,
            log,
            "soak-",
            make_tuner=lambda job, log, clock: Tuner(job, log, machine, machine, clock),
        )
        writer = StatusWriter(engine, tmp_path / "out", str(tmp_path / "out" / "log.jsonl"), os.getpid())
        for number, _ in enumerate(engine.rounds()):
            writer.write()
            machine.measured.clear()
            if number % 10 == 9:
                gc.collect()
                used.append(psutil.Process().memory_info().rss)
                opened.append(descriptors())
    assert engine.trials == trials
    half = len(used) // 2
    # A trial may be remembered (its config, its place in the log, its trial in the study), but no more than that.
    assert (used[-1] - used[half]) / (trials / 2) < 12 << 10, [each // MIB for each in used]
    assert max(opened) - min(opened) <= 2
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "out" / "log.jsonl").stat().st_size / trials < 2000
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".index") == [
        "log.jsonl",
        "status.json",
    ]


def test_workers_that_crash_a_hundred_times_leave_nothing_behind() -> None:
    opened = descriptors()
    with WorkerPool(2, WorkerNeeds("os"), 8 << 30, 8 << 30) as pool:
        replies = pool.map(
            [
                (Call(os._exit, (3,)) if number % 4 == 0 else Call(abs, (-number,)), 60.0)
                for number in range(400)
            ]
        )
        assert sum(isinstance(reply, Died) for reply in replies) == 100
        assert sum(isinstance(reply, Returned) for reply in replies) == 300
        assert len(pool.pids) <= 2
    assert descriptors() <= opened + 1
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if child.is_running() and child.status() == psutil.STATUS_ZOMBIE]
