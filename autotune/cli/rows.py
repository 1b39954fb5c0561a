"""Rows with equal keys, printed as a table for people, or as JSON or CSV for machines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Annotated

import typer

from autotune.cli.console import OUT, print_json, tell
from autotune.cli.tables import print_table
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Column, Table
from search_spaces import Misuse

CsvOption = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV instead of tables.")]
Row = Mapping[str, object]

_LEAST_CHARS = 20
# Keys are recognised by their first characters.
_KEY_CHARS = 12


class Format(Enum):
    """An output format for rows."""

    TABLE = auto()
    JSON = auto()
    CSV = auto()


def chosen_format(*, json: bool, csv: bool) -> Format:
    """The format that the flags of a command ask for. Raises Misuse where they ask for two."""
    if json and csv:
        raise Misuse("print either --json or --csv; found both", code="AT805")
    return Format.JSON if json else Format.CSV if csv else Format.TABLE


def print_rows(
    format: Format, title: str, rows: Sequence[Row], order: Sequence[str], facts: Row | None = None
) -> None:
    """Prints rows with equal keys; facts: the other members of the JSON document beside its `rows`.

    order: keys from the most to the least important, for narrow terminals; those not named are least important.
    In tables, values of keys that end in `_secs` are latencies, and `key` columns are cut.
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
            tell(title)
        case Format.TABLE:
            print_table(_table(title, rows, order))


def _table(title: str, rows: Sequence[Row], order: Sequence[str]) -> Table:
    columns = []
    for name, value in rows[0].items():
        importance = len(order) - order.index(name) if name in order else 0
        is_long = isinstance(value, str | dict) and name != "key"
        heading = name.removesuffix("_secs").replace("_", " ")
        columns.append(Column(heading, importance, _LEAST_CHARS if is_long else None))
    shown = tuple(tuple(_shown(*item) for item in row.items()) for row in rows)
    return Table(title, tuple(columns), shown)


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
            return value[:_KEY_CHARS]
    return str(value)
