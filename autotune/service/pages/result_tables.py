"""Tables of results: verdicts, engines, the history of a model."""

from __future__ import annotations

from autotune.jobs.durations import show_interval, show_secs
from autotune.jobs.table import Column, Table
from autotune.service.result_documents import EngineResult, HistoryEntry, Miss, OfferVerdict

_UNITS = {
    "latency_ms": "ms",
    "throughput_per_second": "inferences per second",
    "dollars_per_million": "dollars per million",
}


def verdict_table(verdicts: tuple[OfferVerdict, ...]) -> Table:
    """Each model on each device: latency before and now, throughput, price, and by how much it misses a need."""
    columns = (
        Column("model", 9, 20),
        Column("device", 8, 16),
        Column("latency", 8),
        Column("verdict", 9, 20),
        Column("before", 6),
        Column("per second", 6),
        Column("$ per million", 6),
    )
    rows = tuple(
        (
            one.model,
            one.device,
            latency_text(one.secs, one.low_secs, one.high_secs),
            verdict_lines(one),
            show_secs(one.before_secs),
            "–" if one.throughput_per_second is None else f"{one.throughput_per_second:.4g}",
            "–" if not one.dollars_per_million else f"{one.dollars_per_million:.3g}",
        )
        for one in verdicts
    )
    return Table("Verdicts", columns, rows)


def verdict_lines(one: OfferVerdict) -> tuple[str, ...]:
    """The verdict on an offer: the needs that it misses with the number it misses each by, or that it holds all."""
    if one.secs is None:
        return ("not known yet",)
    lines = tuple(map(miss_text, one.misses))
    if one.outputs_equal is False:
        lines = (*lines, "its outputs differ from those of the model's own runtime")
    if lines:
        return lines
    return ("chosen: the cheapest that holds all",) if one.is_chosen else ("holds all, dearer or slower",)


def miss_text(one: Miss) -> str:
    """A need that is missed, and the number it is missed by.

    >>> miss_text(Miss("latency_ms", 5.0, 6.5))
    'misses 5 ms by 1.5: 6.5'
    """
    limit = f"misses {one.limit:g} {_UNITS.get(one.need, one.need)}"
    if one.found is None:
        return f"{limit}: not known"
    return f"{limit} by {abs(one.found - one.limit):.3g}: {one.found:.4g}"


def engine_table(engines: tuple[EngineResult, ...]) -> Table:
    """Each model on each device in each engine."""
    columns = (
        Column("model", 9, 20),
        Column("device", 8, 16),
        Column("engine", 9),
        Column("p50", 8),
        Column("p99", 7),
        Column("remark", 9, 20),
    )
    rows = tuple(
        (
            one.model,
            one.device,
            one.engine,
            latency_text(one.secs, one.low_secs, one.high_secs),
            show_secs(one.p99_secs),
            one.reason or ("fastest" if one.is_fastest else ""),
        )
        for one in engines
    )
    return Table("Engines", columns, rows)


def history_table(history: tuple[HistoryEntry, ...]) -> Table:
    """The results of a model's name, the newest first."""
    columns = (
        Column("when", 9),
        Column("device", 8, 16),
        Column("latency", 8),
        Column("trials", 5),
        Column("file", 4),
        Column("against the best before", 9, 20),
    )
    rows = tuple(
        (
            one.finished[:16].replace("T", " "),
            one.device,
            latency_text(one.secs, one.low_secs, one.high_secs),
            f"{one.trials:,}",
            one.sha256[:8],
            _change(one),
        )
        for one in reversed(history)
    )
    return Table("History", columns, rows)


def latency_text(secs: float | None, low_secs: float | None, high_secs: float | None) -> str:
    """A latency with its interval, where there is one."""
    if secs is None or low_secs is None or high_secs is None:
        return show_secs(secs)
    return show_interval(secs, low_secs, high_secs)


def _change(one: HistoryEntry) -> str:
    if one.slowdown is None:
        return "first"
    text = f"{one.slowdown:.2f}× its latency"
    return f"REGRESSION: {text}" if one.is_regression else text
