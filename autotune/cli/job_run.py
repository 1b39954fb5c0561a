"""Running a job from the command line: the engine, and everybody who watches it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from autotune.cli.console import ERR
from autotune.cli.progress import TuningProgress
from autotune.cli.stop_signal import StopSignal
from autotune.jobs.device_run import default_tuner
from autotune.jobs.engine import JobEngine
from autotune.jobs.folder_lock import held
from autotune.jobs.model_builds import ModelBuilds
from autotune.jobs.plan import JobPlan
from autotune.jobs.resume import resume
from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_writer import StatusWriter
from autotune.jobs.webhook import post
from autotune.search.dashboard import Dashboard
from autotune.workers.fork_server import ForkServer
from tuning_logs import RecordStore, open_log


def engine_on(server: ForkServer) -> Callable[..., JobEngine]:
    """A job's engine whose worker processes all come from one server."""
    return partial(JobEngine, make_tuner=partial(default_tuner, server=server))


def run_job(
    plan: JobPlan, started: float, make_engine: Callable[..., JobEngine] = JobEngine
) -> tuple[JobStatus, RecordStore]:
    """Runs a job, or goes on with it where its folder says that it has been running before.

    started: when the command began, on the monotonic clock; the job's time counts from there. Returns how the job
    ended, and its log, which can still be read. Raises AutotuneError where the log or the folder cannot be written
    to, and what `JobEngine.rounds` raises.
    """
    request = plan.request
    with ExitStack() as stack:
        log = stack.enter_context(open_log(request.log))
        log.append([])  # finds out now whether another process is writing
        if request.output:
            stack.enter_context(held(request.output))
        _warn_of_strangers(log, plan)
        _tell_guidance(plan)
        found = resume(request, log)
        engine = make_engine(
            plan,
            log,
            found.run_prefix,
            ModelBuilds(request.output, request.log) if request.output else None,
            found.earlier,
            started=started,
            spent_secs=found.spent_secs,
        )
        writer = StatusWriter(engine, request.output, request.log, os.getpid())
        dashboard = None
        if request.dashboard:
            dashboard = stack.enter_context(Dashboard(request.dashboard, request.name, plan.space))
            dashboard.add(found.records(log))
        try:
            _go(engine, writer, dashboard)
        finally:
            status = writer.write()
            if request.webhook and (trouble := post(request.webhook, status)):
                ERR.print(f"[yellow]{trouble}[/yellow]")
        return status, log


def _go(engine: JobEngine, writer: StatusWriter, dashboard: Dashboard | None) -> None:
    rounds = engine.rounds()
    try:
        with StopSignal(engine.stop), TuningProgress(ERR) as progress:
            for happened in rounds:
                progress.update(writer.write(), happened)
                if dashboard:
                    dashboard.add(happened.records)
                    if dashboard.trouble and dashboard.trouble not in engine.warnings:
                        engine.warnings.append(dashboard.trouble)
    except KeyboardInterrupt:
        pass  # the second Ctrl-C: the round under way is given up
    finally:
        rounds.close()  # ends the worker processes, whatever ended the loop
        if engine.state is JobState.RUNNING:
            engine.state, engine.activity = JobState.STOPPED, "stopped"


def _tell_guidance(plan: JobPlan) -> None:
    found = [pretrained for run in plan.devices if (pretrained := plan.pretrained(run.device))]
    for line in dict.fromkeys(pretrained.line for pretrained in found):
        how = '--cost-model none, or cost_model = "none" in a job file, turns it off'
        ERR.print(f"{line}; {how}", highlight=False, markup=False)


def _warn_of_strangers(log: RecordStore, plan: JobPlan) -> None:
    for damage in log.damage:
        ERR.print(f"[yellow]line {damage.line} of the log was skipped: {damage.reason}[/yellow]")
    targets = {str(task.target) for task in log.tasks()}
    for run in plan.devices:
        wanted = str(run.device.target)
        if targets and wanted not in targets:
            ERR.print(
                f"[yellow]the log holds records for {', '.join(sorted(targets))} and none for {wanted}; "
                "they are kept, and the search starts afresh[/yellow]"
            )
