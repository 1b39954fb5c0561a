"""`autotune doctor`: checks of this machine and its devices before a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import print_json, tell
from autotune.cli.tables import print_table
from autotune.doctor.device import check_device
from autotune.doctor.machine import Health, check_machine
from autotune.jobs.table import Column, Table

_STYLES = {Health.GOOD.value: "green", Health.WARNING.value: "yellow", Health.PROBLEM.value: "bold red"}


def doctor(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Devices to look at; default: local.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where a job would write.")
    ] = Path(),
    json: JsonOption = False,
) -> None:
    """Check everything that a job needs, and say how to mend what is missing; exit code 1 where it would be spoilt."""
    found = list(check_machine(output))
    for url in devices or ["local"]:
        found.extend(check_device(url))
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        rows = tuple((one.what, one.health.value, one.found) for one in found)
        columns = (Column("what", 9, 20), Column("health", 8), Column("found", 7, 24))
        print_table(Table("Doctor", columns, rows), _STYLES)
        for one in found:
            if one.remedy:
                tell(f"{one.what}: {one.remedy}")
    if any(one.health is Health.PROBLEM for one in found):
        raise typer.Exit(1)
