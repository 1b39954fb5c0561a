"""Running a job from the command line: progress on stderr, Ctrl-C as a request to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import typer

from autotune.cli.console import ERR, note, warn
from autotune.cli.progress import TuningProgress
from autotune.cli.stop_signal import StopSignal
from autotune.jobs.engine import JobEngine
from autotune.jobs.plan import JobPlan
from autotune.jobs.run import JobResult, open_job
from autotune.jobs.status import JobState, JobStatus
from autotune.runners.workers import Workers
from autotune.workers.fork_server import ForkServer
from search_spaces import AutotuneError
from tuning_logs import RecordStore

# The exit code that shells expect of a command that Ctrl-C ended.
_INTERRUPTED = 130


def run_with_progress(
    plan: JobPlan,
    started: float,
    server: ForkServer | None = None,
    make_engine: Callable[..., JobEngine] = JobEngine,
    workers: Workers | None = None,
) -> JobResult:
    """Runs or resumes a job, showing its rounds; the first Ctrl-C stops it politely, the second at once.

    started: when the command began, on the monotonic clock; server: forks all worker processes of this
    machine; workers: compile and measure candidates, by default processes of this machine.
    Raises what `open_job` and `JobRun.rounds` raise.
    """
    with open_job(plan, make_engine, started, server, workers) as job:
        job.say = warn
        for notice in plan.notices:
            warn(notice)
        _warn_of_the_log(job.log, plan)
        _name_the_cost_models(plan)
        try:
            with (
                closing(job.rounds()) as rounds,
                StopSignal(job.stop),
                TuningProgress(ERR) as progress,
            ):
                for status, happened in rounds:
                    progress.update(status, happened)
        except KeyboardInterrupt:  # the second Ctrl-C: the round under way is given up
            if job.result is None:
                raise
        finally:
            if job.result and job.result.webhook_error:
                warn(f"{job.result.webhook_error}")
    assert job.result is not None
    return job.result


def check_success(status: JobStatus) -> None:
    """Raises AutotuneError where no candidate ran; exits with 130 where the job was stopped."""
    if status.state is JobState.STOPPED:
        raise typer.Exit(_INTERRUPTED)
    nothing_ran = not any(one.trials and one.best_secs for one in status.tasks)
    if nothing_ran or 0 < status.trials <= sum(status.failures.values()):
        counts = ", ".join(f"{kind} {count}" for kind, count in status.failures.items())
        why = counts or f"the budget ended after {status.secs:.1f} s, before the first; give it more"
        raise AutotuneError(
            f"expected at least one candidate to run, found none that did: {why}", code="AT507"
        )


def _name_the_cost_models(plan: JobPlan) -> None:
    found = [pretrained for run in plan.devices if (pretrained := plan.pretrained(run.device))]
    for line in dict.fromkeys(pretrained.line for pretrained in found):
        how = '--cost-model none, or cost_model = "none" in a job file, turns it off'
        note(f"{line}; {how}")


def _warn_of_the_log(log: RecordStore, plan: JobPlan) -> None:
    """Warns of damaged lines, and of a log that was written for other targets alone."""
    for damage in log.damage:
        warn(f"line {damage.line} of the log was skipped: {damage.reason}")
    targets = {str(task.target) for task in log.tasks()}
    for run in plan.devices:
        wanted = str(run.device.target)
        if targets and wanted not in targets:
            warn(
                f"the log holds records for {', '.join(sorted(targets))} and none for {wanted}; "
                "they are kept, and the search starts afresh"
            )
