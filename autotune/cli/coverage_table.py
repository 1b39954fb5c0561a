"""What a build used for each operator, as a table."""

from __future__ import annotations

from rich.table import Table

from autotune.cli.console import table
from autotune.cli.options import show_secs
from autotune.coverage import Coverage, CoverageRow

_COLUMNS = ["task", "calls", "schedule", "default", "used", "share"]


def coverage_table(coverage: Coverage) -> Table:
    """The operators of a build, the one with the largest share of the time first."""
    tuned = sum(not row.reason for row in coverage.rows)
    title = f"Coverage: {tuned} of {len(coverage.rows)} operators have a record"
    return table(title, _COLUMNS, [_row(row) for row in coverage.rows])


def coverage_json(coverage: Coverage) -> list[dict[str, object]]:
    """The same rows for machines."""
    return [
        {
            "name": row.name,
            "calls": row.calls,
            "status": row.status.value,
            "reason": row.reason,
            "default_secs": row.default_secs,
            "tuned_secs": row.tuned_secs,
            "share": row.share,
        }
        for row in coverage.rows
    ]


def _row(row: CoverageRow) -> list[str]:
    return [
        row.name,
        str(row.calls),
        f"{row.status.value}: {row.reason}" if row.reason else row.status.value,
        "–" if row.default_secs is None else show_secs(row.default_secs),
        "–" if row.tuned_secs is None else show_secs(row.tuned_secs),
        "–" if row.share is None else f"{row.share:.1%}",
    ]
