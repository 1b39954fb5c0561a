"""The tables of a report that need its log: operators, failures, runs."""

from __future__ import annotations

from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.status import JobStatus
from autotune.jobs.status_tables import show_factor, show_gflops
from autotune.jobs.table import Cell, Column, Table
from autotune.reports.report import OperatorReport, Report
from tuning_logs.selection.significance import is_significant


def operator_table(report: Report, most_rows: int | None = None) -> Table:
    """The operators by their share of their device's time, the largest first; most_rows: the rest is left out."""
    columns = (
        Column("operator", 9, 20),
        Column("device", 3, 12),
        Column("calls"),
        Column("share", 8),
        Column("untuned", 4),
        Column("now", 7),
        Column("gain", 6),
        Column("GFLOP/s", 2),
        Column("of the peak", 5),
        Column("trials"),
        Column("winner", 2),
        Column("the build uses", 3, 16),
    )
    return Table("Operators", columns, tuple(map(_operator_row, report.operators[:most_rows])))


def failure_table(report: Report) -> Table:
    """Kinds of failures, how often each was met, and the messages met most."""
    columns = (Column("kind", 9), Column("trials", 8), Column("for example", 7, 20))
    rows = tuple((one.kind, str(one.count), one.messages) for one in report.failures)
    return Table("Failures", columns, rows)


def run_table(status: JobStatus) -> Table:
    """The runs of the job: when each began, how long it took, how it ended."""
    columns = (Column("run started, UTC", 9), Column("took", 8), Column("ended", 7))
    rows = tuple(
        (one.started[:19].replace("T", " "), show_duration(one.secs), one.state.value) for one in status.runs
    )
    return Table("Runs", columns, rows)


def _operator_row(one: OperatorReport) -> tuple[Cell, ...]:
    return (
        one.name,
        one.device,
        str(one.calls),
        one.share,
        show_secs(one.default_secs),
        show_secs(one.best_secs),
        show_factor(one.gain),
        show_gflops(one.flops_per_sec),
        "–" if one.peak_share is None else f"{one.peak_share:.0%} ({one.bound})",
        str(one.trials),
        _confidence(one.winner_p_value),
        one.schedule,
    )


def _confidence(p_value: float | None) -> str:
    if p_value is None:
        return "–"
    return f"sure (p = {p_value:.3f})" if is_significant(p_value) else "a tie"
