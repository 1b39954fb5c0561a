"""The arguments of `autotune log`, and the logs and devices among them, read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.console import warn
from search_spaces import Misuse
from tuning_logs import RecordStore, read_log
from tuning_logs.address import without_password

LogArgument = Annotated[
    str,
    typer.Argument(metavar="LOG", help="A log file, or the URL of a database: postgresql://…, sqlite:///…"),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE.jsonl", help="The new log; it must not exist yet.")
]


def read(log: str) -> RecordStore:
    """Opens a log for reading; warns of its damaged lines."""
    store = read_log(log)
    for damage in store.damage:
        warn(f"{without_password(log)}: {damage}; it was skipped")
    return store


def matching_device(store: RecordStore, name: str | None) -> str | None:
    """The key of the device with that name or beginning of its key; None for all devices.

    Raises Misuse unless exactly one device has it.
    """
    if name is None:
        return None
    devices = store.devices()
    found = {each.key for each in devices if each.name == name or each.key.startswith(name)}
    if len(found) != 1:
        known = ", ".join(f"{each.key} ({each.name})" for each in devices) or "none"
        raise Misuse(
            f"expected the key or the name of one device, found {name!r}; the log has {known}", code="AT211"
        )
    return found.pop()
