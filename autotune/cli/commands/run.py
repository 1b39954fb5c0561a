"""`autotune run`: a job file's models on its devices, until the budget is spent."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption, WorkersOption
from autotune.cli.console import note, print_json, tell
from autotune.cli.job_run import check_success, run_with_progress
from autotune.cli.job_view import print_status
from autotune.cli.tables import print_table
from autotune.cluster.address import parse_workers
from autotune.cluster.opening import open_workers
from autotune.jobs.dry_run import JobEstimate, estimate
from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.job_file import read_job_file
from autotune.jobs.plan import JobPlan, plan_job
from autotune.jobs.status_file import read_status
from autotune.jobs.table import Column, Table
from tuning_logs import TuningLog, read_log
from tuning_logs.address import is_url

JobFileArgument = Annotated[Path, typer.Argument(metavar="JOBS.toml", help="The job file.")]


def run(
    context: typer.Context,
    jobs: JobFileArgument,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan with the time each task can expect; run nothing."),
    ] = False,
    dashboard: Annotated[
        str | None,
        typer.Option("--dashboard", metavar="URL", help="An Optuna storage to copy the studies to."),
    ] = None,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Run a job: several models, on several devices, within a budget. The same command again goes on where the
    last one ended, however it ended; what is spent counts. Another budget in the file counts from then on."""
    started = time.monotonic()
    request = read_job_file(jobs)
    if dashboard:
        request = replace(request, dashboard=dashboard)
    if workers:
        request = replace(request, workers=parse_workers(workers))
    with open_workers(request.workers) as opened:
        plan = plan_job(request, context.obj, opened)
        if dry_run:
            _print_estimate(plan, json)
            return
        status = run_with_progress(plan, started, context.obj, workers=opened).status
    if json:
        print_json(msgspec.to_builtins(status))
    else:
        print_status(status)
        note(f"autotune report {request.output} -o report.html   shows what was found")
    check_success(status)


def _print_estimate(plan: JobPlan, json: bool) -> None:
    request = plan.request
    has_log = is_url(request.log) or os.path.exists(request.log)
    log = read_log(request.log) if has_log else TuningLog.in_memory()
    assert request.output is not None
    found = estimate(plan, log, read_status(request.output))
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


def _print(found: JobEstimate) -> None:
    rows = tuple(
        (
            one.name if len(found.devices) == 1 else f"{one.name} on {one.device}",
            str(one.calls),
            show_secs(one.known_secs),
            "–" if one.trials is None else f"{one.trials:.0f}",
            "–" if one.secs is None else show_duration(one.secs),
        )
        for one in found.tasks
    )
    columns = (
        Column("task", 9, 20),
        Column("calls", 2),
        Column("best known", 5),
        Column("trials", 8),
        Column("time", 7),
    )
    print_table(Table(f"{found.name}: plan", columns, rows))
    for line in found.lines:
        tell(line)
