"""Where the command line writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table


class PatientConsole(Console):
    """Falls silent where nobody reads any more; Rich's own would end the program, and stdout with it."""

    def on_broken_pipe(self) -> None:
        """Writes nothing from now on."""
        self.quiet = True


#: Results.
OUT = Console(soft_wrap=True)
#: Progress, warnings and errors.
ERR = PatientConsole(stderr=True, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout, for machines; infinite and undefined numbers become null."""
    OUT.out(json.dumps(_finite(value), indent=2), highlight=False)


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """A table whose first column is text and whose other columns are numbers."""
    result = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        result.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
