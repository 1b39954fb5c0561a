"""The tables and warnings of a job's status, shown by the command line and the report alike."""

from __future__ import annotations

from autotune.jobs.device_choice import verdict
from autotune.jobs.durations import show_interval, show_secs
from autotune.jobs.status import JobStatus, Latency, Offer, TaskStatus
from autotune.jobs.table import Cell, Column, Table

_NAME_CHARS = 20
_OUTPUTS = {True: "equal", False: "DIFFERENT", None: "–"}


def warnings(status: JobStatus) -> list[str]:
    """Warnings of a job: of its devices (drift, trouble) first, then its own."""
    of_devices = [one.warning for one in status.devices if one.warning]
    trouble = [f"{one.name} is left alone: {one.quarantine}" for one in status.devices if one.quarantine]
    return [*of_devices, *trouble, *(one for one in status.warnings if one)]


def task_table(status: JobStatus, most_rows: int | None = None) -> Table:
    """The tasks by their share of the time, the largest first; most_rows: the rest is counted in the last row."""
    ranked = sorted(status.tasks, key=lambda one: -one.calls * (one.best_secs or 0.0))
    rows = [_task_row(one, status) for one in ranked[:most_rows]]
    if most_rows is not None and len(ranked) > most_rows:
        rows.append((f"… and {len(ranked) - most_rows} lighter tasks", *[""] * 7))
    columns = (
        Column("task", 9, _NAME_CHARS),
        Column("calls", 3),
        Column("trials", 6),
        Column("default", 4),
        Column("best", 8),
        Column("gain", 7),
        Column("GFLOP/s", 2),
        Column("state", 5, 12),
    )
    return Table(f"{status.name}: {status.activity}", columns, tuple(rows))


def model_table(status: JobStatus) -> Table:
    """The models: their measured latencies before and after, and the sums of their tasks' latencies."""
    rows = tuple(
        (
            label(one.name, one.device, status),
            _interval(one.before),
            _interval(one.after),
            show_factor(one.before.secs / one.after.secs if one.before and one.after else None),
            show_secs(one.estimated_start_secs),
            show_secs(one.estimated_secs),
            _OUTPUTS[one.outputs_equal],
        )
        for one in status.models
    )
    columns = (
        Column("model", 9, _NAME_CHARS),
        Column("before", 6),
        Column("after", 8),
        Column("faster by", 7),
        Column("tasks untuned", 2),
        Column("tasks now", 4),
        Column("outputs", 5, 9),
    )
    return Table("Models: measured as a whole, and the sums of their tasks", columns, rows)


def offer_table(status: JobStatus) -> Table | None:
    """The latency and cost of each model on each device; None where there is neither a choice, a price nor a need."""
    offers = status.offers
    is_choice = len({one.connection for one in offers}) > 1
    if not is_choice and not any(one.price_per_hour or one.needed_secs for one in offers):
        return None
    columns = (
        Column("model", 9, _NAME_CHARS),
        Column("device", 8, 12),
        Column("latency", 6),
        Column("measured", 1, 16),
        Column("price per hour", 2),
        Column("per million runs", 4),
        Column("needed", 3),
        Column("verdict", 7, 12),
    )
    rows = tuple(map(_offer_row, offers))
    return Table("Devices compared: the cheapest that is fast enough", columns, rows)


def device_table(status: JobStatus) -> Table:
    """The devices, how much was measured on each, and the trouble with it."""
    rows = tuple(
        (
            one.name,
            one.connection,
            one.target,
            str(one.trials),
            f"{one.slowdown:.2f}×",
            one.quarantine or "–",
            ", ".join(f"{key} {value}" for key, value in one.facts.items()),
        )
        for one in status.devices
    )
    columns = (
        Column("device", 9, _NAME_CHARS),
        Column("connection", 4, 16),
        Column("target", 3, 16),
        Column("trials", 8),
        Column("slowdown", 6),
        Column("trouble", 7, 24),
        Column("facts", 1, 24),
    )
    return Table("Devices", columns, rows)


def label(name: str, device: str, status: JobStatus) -> str:
    """A name, with its device where the job has several."""
    return f"{name} on {device}" if len(status.devices) > 1 else name


def show_factor(factor: float | None) -> str:
    """A ratio of latencies, a dash for None."""
    return "–" if factor is None else f"{factor:.2f}×"


def show_gflops(flops_per_sec: float | None) -> str:
    """Floating-point operations a second in GFLOP/s, a dash where unknown."""
    return f"{flops_per_sec / 1e9:.1f}" if flops_per_sec else "–"


def _task_row(one: TaskStatus, status: JobStatus) -> tuple[Cell, ...]:
    gain = one.default_secs / one.best_secs if one.default_secs and one.best_secs else None
    return (
        label(one.name, one.device, status),
        str(one.calls),
        str(one.trials),
        show_secs(one.default_secs),
        show_secs(one.best_secs),
        show_factor(gain),
        show_gflops(one.flops / one.best_secs if one.best_secs else None),
        one.state,
    )


def _offer_row(one: Offer) -> tuple[Cell, ...]:
    return (
        one.model,
        one.device,
        show_secs(one.secs),
        "the whole model" if one.is_measured else "the sum of its tasks",
        "–" if one.price_per_hour is None else f"{one.price_per_hour:g}",
        "–" if one.price_per_million is None else f"{one.price_per_million:.3g}",
        show_secs(one.needed_secs),
        verdict(one),
    )


def _interval(latency: Latency | None) -> str:
    return "–" if latency is None else show_interval(latency.secs, latency.low_secs, latency.high_secs)
