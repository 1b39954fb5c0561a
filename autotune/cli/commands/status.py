"""`autotune status`: the status of a job that runs or has run, from another shell."""

from __future__ import annotations

import msgspec

from autotune.cli.arguments import FolderArgument, JsonOption
from autotune.cli.console import print_json, tell
from autotune.cli.job_view import print_tables, print_warnings, summary
from autotune.jobs.liveness import with_true_state
from autotune.jobs.status_file import read_status
from search_spaces import Misuse


def status(folder: FolderArgument, json: JsonOption = False) -> None:
    """Show where a job stands: its tasks, its models, what is left of its budget, what went wrong."""
    found = read_status(folder)
    if found is None:
        raise Misuse(
            f"expected the output folder of a job, with a status.json; found none in {folder}", code="AT504"
        )
    found = with_true_state(found)
    if json:
        print_json(msgspec.to_builtins(found))
        return
    print_tables(found)
    print_warnings(found)
    tell(f"{found.state} · {summary(found)} · {found.updated}")
