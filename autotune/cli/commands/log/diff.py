"""`autotune log diff`: changes of the best times from one log to another."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.log_arguments import LogArgument, read
from autotune.cli.rows import CsvOption, chosen_format, print_rows
from tuning_logs.selection.difference import Difference, differences

# The columns from the most to the least important.
_ORDER = ("task", "change", "speedup", "second_secs", "first_secs", "device", "key", "target")


def diff(
    first: LogArgument,
    second: Annotated[str, typer.Argument(metavar="LOG", help="The log to hold against the first.")],
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Hold the best times of two logs against each other, task by task and device by device."""
    format = chosen_format(json=json, csv=csv)
    found = sorted(differences(read(first), read(second)), key=lambda each: -(each.speedup or 0.0))
    changes = Counter(each.change.value for each in found)
    title = (
        ", ".join(f"{number} {change}" for change, number in changes.items()) or "no task ran in either log"
    )
    print_rows(
        format,
        f"{first} → {second}: {title}",
        [_row(each) for each in found],
        _ORDER,
        {"changes": dict(changes)},
    )


def _row(found: Difference) -> dict[str, object]:
    return {
        "task": found.task.name,
        "key": found.task.key,
        "target": str(found.task.target),
        "device": found.device.key,
        "first_secs": None if found.before is None else found.before.secs,
        "second_secs": None if found.after is None else found.after.secs,
        "speedup": found.speedup,
        "change": found.change.value,
    }
