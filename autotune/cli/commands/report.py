"""`autotune report`: the results of a job as one HTML file or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import FolderArgument, JsonOption
from autotune.cli.console import print_json, tell
from autotune.jobs.status_file import read_status
from autotune.reports.making import make_report
from autotune.reports.page import page
from search_spaces import AutotuneError, Misuse
from search_spaces.tensor_ir.modules import moved_bytes
from tuning_logs import read_log


def report(
    folder: FolderArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.html", help="Where the page goes; default: in the folder."
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log", metavar="LOG", help="The job's log, where it was moved or its URL needs a password."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write what a job found into one HTML file that needs no network: latencies, operators, charts, failures."""
    status = read_status(folder)
    if status is None:
        raise Misuse(
            f"expected the output folder of a job, with a status.json; found none in {folder}", code="AT504"
        )
    found = make_report(status, read_log(log or status.log), lambda task: moved_bytes(task.workload.module))
    if json:
        print_json(msgspec.to_builtins(found))
        if output is None:
            return
    path = output or folder / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise AutotuneError(f"the report could not be written to {path}: {error}", code="AT803") from error
    if not json:
        tell(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens in any browser")
