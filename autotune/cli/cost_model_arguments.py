"""The arguments of `autotune cost-model`, and the logs among them, read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.console import warn
from autotune.machine.allowance import read_allowance
from cost_models.record_table import RecordTable

LogsArgument = Annotated[
    list[str], typer.Argument(metavar="LOG…", help="Tuning logs, best one for each network.")
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A trained cost model.")]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the model.")
]


def read_table(logs: list[str]) -> RecordTable:
    """The records of logs with their features; warns of those whose programs cannot be rebuilt."""
    table = RecordTable.read(logs, processes=read_allowance().compilers)
    if table.left_out:
        warn(f"{table.left_out} records stand for programs that this version cannot rebuild")
    return table
