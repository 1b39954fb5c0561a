"""A whole job on the toy machine: plan, engine, folder, log and status."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.cli.job_run import run_with_progress
from autotune.devices.roofline import Roof, Roofline
from autotune.jobs.engine import JobEngine
from autotune.jobs.job_file import JobRequest
from autotune.jobs.plan import JobPlan, PlannedModel, share_out
from autotune.search.samplers import SamplerKind
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from search_spaces import Candidate, ToySpace
from tuning_logs import Failure

SPACES = {space.task: space for space in (ToySpace(64), ToySpace(256), ToySpace(1024))}
ROOFLINE = Roofline(1e9, (Roof(1 << 20, 1e9),))


class SlowMachine(ToyMachine):
    """A toy machine whose builds take time, so that a job can be interrupted. secs: for each candidate."""

    def __init__(self, secs: float) -> None:
        super().__init__()
        self.secs = secs

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """Sleeps as compilation would, then builds."""
        time.sleep(self.secs * len(candidates))
        return super().build(candidates)


def toy_plan(folder: Path, budget: Budget, **more: object) -> JobPlan:
    """A plan of two models, the second with twice the priority of the first. more: further fields of the request."""
    tasks = list(SPACES)
    request = JobRequest(
        "toys",
        (),
        budget,
        str(folder / "log.jsonl"),
        folder,
        batch=8,
        sampler=SamplerKind.RANDOM,
        **more,  # type: ignore[arg-type]
    )
    models = [PlannedModel("first", tuple(tasks[:1])), PlannedModel("second", tuple(tasks[1:]), 2.0)]
    return JobPlan(
        request, share_out([(DEVICE, models)]), lambda task: SPACES[task], moved_bytes=lambda _task: 1 << 12
    )


def toy_engine(trial_secs: float) -> Callable[..., JobEngine]:
    """A factory of engines that measure on a toy machine. trial_secs: how long a build takes."""
    machine = SlowMachine(trial_secs)

    def tuner(job, log, clock):  # type: ignore[no-untyped-def]
        return Tuner(job, log, machine, machine, clock)

    return partial(JobEngine, make_tuner=tuner, find_roofline=lambda _threads: ROOFLINE)


def run_toy_job(folder: Path, trials: int, trial_secs: float) -> None:
    """Runs, or resumes, the job of a folder."""
    plan = toy_plan(folder, Budget(trials=trials))
    with contextlib.redirect_stderr(io.StringIO()):
        run_with_progress(plan, time.monotonic(), make_engine=toy_engine(trial_secs))
