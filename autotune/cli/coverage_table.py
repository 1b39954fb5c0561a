"""What a build used for each operator, as a table."""

from __future__ import annotations

from rich.table import Table

from autotune.cli.console import ERR, table
from autotune.cli.values import show_secs
from autotune.deployment.compilation import Build
from autotune.deployment.coverage import Coverage, CoverageRow

_COLUMNS = ["task", "calls", "schedule", "default", "used", "share"]


def coverage_table(coverage: Coverage) -> Table:
    """The operators of a build, the one with the largest share of the time first."""
    own = len(coverage.rows) - len(coverage.untuned) - len(coverage.borrowed)
    title = (
        f"Coverage: {own} of {len(coverage.rows)} operators have a record of their own, "
        f"with {1 - coverage.missed_share:.1%} of the expected time"
    )
    return table(title, _COLUMNS, [_row(row) for row in coverage.rows])


def coverage_json(coverage: Coverage) -> list[dict[str, object]]:
    """The same rows for machines."""
    return [
        {
            "name": row.name,
            "calls": row.calls,
            "status": row.status.value,
            "cause": row.cause.value if row.cause else None,
            "reason": row.reason,
            "source": row.source,
            "default_secs": row.default_secs,
            "tuned_secs": row.tuned_secs,
            "share": row.share,
        }
        for row in coverage.rows
    ]


def warn_of_gaps(built: Build) -> None:
    """Warns of operators that run untuned or with a schedule of another device, and of weights packed in each run."""
    untuned = built.coverage.untuned
    if untuned:
        names = ", ".join(row.name for row in untuned)
        ERR.print(
            f"[bold yellow]{len(untuned)} operators run untuned, which may be very slow:[/bold yellow] {names}"
        )
    borrowed = built.coverage.borrowed
    if borrowed:
        names = ", ".join(f"{row.name} from {row.source}" for row in borrowed)
        ERR.print(f"[yellow]{len(borrowed)} operators run a schedule found elsewhere:[/yellow] {names}")
    if built.runtime_packs:
        ERR.print(f"[yellow]{built.runtime_packs} weights are packed anew in every run[/yellow]")


def _row(row: CoverageRow) -> list[str]:
    return [
        row.name,
        str(row.calls),
        _schedule(row),
        "–" if row.default_secs is None else show_secs(row.default_secs),
        "–" if row.tuned_secs is None else show_secs(row.tuned_secs),
        "–" if row.share is None else f"{row.share:.1%}",
    ]


def _schedule(row: CoverageRow) -> str:
    used = f"{row.status.value} ({row.source})" if row.source else row.status.value
    return f"{used}: {row.reason}" if row.reason else used
