"""Rows as a table for people, or as JSON or CSV for machines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Annotated

import typer

from autotune.cli.console import OUT, print_json, table
from autotune.cli.values import show_secs
from search_spaces import Misuse

CsvOption = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV instead of tables.")]
Row = Mapping[str, object]


class Format(Enum):
    """How results are printed."""

    TABLE = auto()
    JSON = auto()
    CSV = auto()


def chosen_format(json: bool, csv: bool) -> Format:
    """What the flags of a command ask for. Raises Misuse where they ask for two things."""
    if json and csv:
        raise Misuse("print either --json or --csv; found both")
    return Format.JSON if json else Format.CSV if csv else Format.TABLE


def print_rows(format: Format, title: str, rows: Sequence[Row], facts: Row | None = None) -> None:
    """Prints rows with equal keys; facts: what else the JSON document holds beside its `rows`.

    Keys that end in `_secs` are shown as times; in tables, `key` columns are cut.
    """
    match format:
        case Format.JSON:
            print_json({**(facts or {}), "rows": [dict(row) for row in rows]})
        case Format.CSV:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
            OUT.out(text.getvalue(), end="", highlight=False)
        case Format.TABLE if not rows:
            OUT.print(title, highlight=False)
        case Format.TABLE:
            columns = [name.removesuffix("_secs").replace("_", " ") for name in rows[0]]
            OUT.print(table(title, columns, [[_shown(*item) for item in row.items()] for row in rows]))


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _shown(name: str, value: object) -> str:
    match value:
        case None:
            return "–"
        case float() if name.endswith("_secs"):
            return show_secs(value)
        case float():
            return f"{value:.3g}"
        case dict():
            return ", ".join(f"{key} {number}" for key, number in value.items()) or "–"
        case str() if name == "key":
            return value[:12]
    return str(value)
