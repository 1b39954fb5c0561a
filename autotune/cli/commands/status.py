"""`autotune status`: how a job does, seen from another shell."""

from __future__ import annotations

import msgspec
import psutil

from autotune.cli.arguments import FolderArgument, JsonOption
from autotune.cli.console import OUT, print_json
from autotune.cli.job_view import model_table, offer_table, summary, task_table
from autotune.jobs.status import JobState, read_status
from search_spaces import Misuse


def status(folder: FolderArgument, json: JsonOption = False) -> None:
    """Show where a job stands: its tasks, its models, what is left of its budget, what went wrong."""
    found = read_status(folder)
    if found is None:
        raise Misuse(f"expected the output folder of a job, with a status.json; found none in {folder}")
    if found.state is JobState.RUNNING and not psutil.pid_exists(found.runs[-1].pid):
        found.state, found.activity = JobState.STOPPED, "killed; the same command goes on"
    if json:
        print_json(msgspec.to_builtins(found))
        return
    OUT.print(task_table(found))
    if any(one.path for one in found.models):
        OUT.print(model_table(found))
    if (offers := offer_table(found)) is not None:
        OUT.print(offers)
    for warning in [*(one.warning for one in found.devices), *found.warnings]:
        if warning:
            OUT.print(f"[yellow]{warning}[/yellow]", highlight=False)
    OUT.print(f"{found.state} · {summary(found)} · {found.updated}", highlight=False)
