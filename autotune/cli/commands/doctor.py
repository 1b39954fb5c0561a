"""`autotune doctor`: whether a job would go well here, and what to mend before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import OUT, print_json, table
from autotune.doctor.device import check_device
from autotune.doctor.machine import Health, check_machine

_COLOURS = {Health.GOOD: "green", Health.WARNING: "yellow", Health.PROBLEM: "bold red"}


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
        rows = [
            [one.what, f"[{_COLOURS[one.health]}]{one.health}[/]", one.found.replace("[", r"\[")]
            for one in found
        ]
        OUT.print(table("Doctor", ["what", "health", "found"], rows))
        for one in found:
            if one.remedy:
                OUT.print(f"{one.what}: {one.remedy}", highlight=False, markup=False)
    if any(one.health is Health.PROBLEM for one in found):
        raise typer.Exit(1)
