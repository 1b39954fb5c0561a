"""The coverage of a build: the schedule used for each operator, as a table, as JSON and as warnings."""

from __future__ import annotations

from autotune.cli.console import note, warn
from autotune.deployment.coverage import Coverage, CoverageRow
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Cell, Column, Table

_COLUMNS = (
    Column("task", 9, 20),
    Column("calls", 2),
    Column("schedule", 7, 20),
    Column("default", 3),
    Column("used", 5),
    Column("share", 6),
)


def coverage_table(coverage: Coverage) -> Table:
    """The operators of a build by their share of the time, the largest first."""
    own = len(coverage.rows) - len(coverage.untuned) - len(coverage.borrowed)
    title = (
        f"Coverage: {own} of {len(coverage.rows)} operators have a record of their own, "
        f"with {1 - coverage.missed_share:.1%} of the expected time"
    )
    return Table(title, _COLUMNS, tuple(_row(row) for row in coverage.rows))


def coverage_json(coverage: Coverage) -> list[dict[str, object]]:
    """The rows of the table as JSON objects."""
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


def warn_of_gaps(coverage: Coverage, runtime_packs: int) -> None:
    """Warns of operators that run untuned or with a schedule of another device, and of weights packed in each run."""
    naive = coverage.naive
    if naive:
        names = ", ".join(row.name for row in naive)
        message = f"{len(naive)} operators run untuned, which may be very slow: {names}"
        note(message, style="bold yellow")
    scheduled = [row for row in coverage.untuned if row not in naive]
    if scheduled:
        names = ", ".join(row.name for row in scheduled)
        which = names if len(scheduled) < len(coverage.rows) else "all there are"
        message = f"{len(scheduled)} operators are untuned and run a default schedule: {which}"
        note(message, style="bold yellow")
    borrowed = coverage.borrowed
    if borrowed:
        names = ", ".join(f"{row.name} from {row.source}" for row in borrowed)
        warn(f"{len(borrowed)} operators run a schedule found elsewhere: {names}")
    if runtime_packs:
        warn(f"{runtime_packs} weights are packed anew in every run")


def _row(row: CoverageRow) -> tuple[Cell, ...]:
    return (
        row.name,
        str(row.calls),
        _schedule(row),
        show_secs(row.default_secs),
        show_secs(row.tuned_secs),
        "–" if row.share is None else row.share,
    )


def _schedule(row: CoverageRow) -> str:
    used = f"{row.status.value} ({row.source})" if row.source else row.status.value
    return f"{used}: {row.reason}" if row.reason else used
