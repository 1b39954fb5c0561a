"""`autotune explain`: the cause of an error code, and its remedy."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import print_json, tell
from autotune.cli.error_codes import AREAS, find_error_code, read_error_codes
from autotune.cli.tables import print_table
from autotune.jobs.table import Column, Table


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="As in error[AT101]; default: list all.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Explain an error code: why it happens, and what to do."""
    if code is None:
        found = list(read_error_codes().values())
        if json:
            print_json(msgspec.to_builtins(found))
            return
        columns = (Column("code", 9), Column("title", 8, 30))
        for area in AREAS.values():
            rows = tuple((one.code, one.title) for one in found if one.area == area)
            print_table(Table(area, columns, rows))
        return
    one = find_error_code(code)
    if json:
        print_json(msgspec.to_builtins(one))
        return
    tell(f"{one.code}: {one.title}", style="bold")
    tell(f"why: {one.why}")
    tell(f"what to do: {one.remedy}")
