"""Comparisons and verdicts as tables, sentences and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from autotune.comparison.fastest import Fastest, fastest
from autotune.comparison.limits import Limits
from autotune.comparison.result import Comparison, Percentile, Row
from autotune.comparison.verdict import DeploymentVerdict, Limit, Miss, ModelVerdict, Option
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Column, Table

_COLUMNS = (
    Column("engine", 9),
    Column("p50 (95 %)", 8),
    Column("p90", 4),
    Column("p99 (95 %)", 6),
    Column("to the fastest", 7),
    Column("runs", 1),
    Column("load", 2),
    Column("memory", 3),
    Column("size", 2),
    Column("tuned", 3),
    Column("outputs", 5, 12),
)
_VERDICT_COLUMNS = (
    Column("engine", 9),
    Column("device", 8, 12),
    Column("latency", 6),
    Column("per second", 5),
    Column("per million", 5),
    Column("missed by", 7, 20),
)
_NONE = "–"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """A table for each model and device, the fastest engine first, those that did not run last."""
    threads = {one.name: one.threads for one in comparison.devices}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in comparison.rows:
        groups.setdefault((row.model, row.device), []).append(row)
    return [
        Table(
            f"{model} on {device}: one run, {threads[device]} threads, engines in turns",
            _COLUMNS,
            _rows(sorted(rows, key=_latency)),
        )
        for (model, device), rows in groups.items()
    ]


def fastest_text(found: Fastest) -> str:
    """The answer for one model and device in a sentence."""
    where = f"{found.model} on {found.device}"
    if found.engine is None:
        return f"{where}: no engine runs it with the right outputs"
    text = f"{where}: {found.engine} is the fastest, {show_secs(found.p50_secs)}"
    if found.next_engine is None or found.ratio is None:
        return f"{text}; no other engine runs it"
    doubt = "" if found.is_clear else ", which may be noise"
    return f"{text}; {found.next_engine} takes {found.ratio:.2f}× as long{doubt}"


def comparison_json(comparison: Comparison, verdict: DeploymentVerdict | None) -> dict[str, object]:
    """The comparison as its file has it, without single runs, with the fastest engines and the verdict, if any."""
    document: dict[str, object] = msgspec.to_builtins(comparison)
    rows = [
        {**row, "measured": {k: v for k, v in row["measured"].items() if k != "run_secs"}}
        if row["measured"]
        else row
        for row in msgspec.to_builtins(comparison.rows)
    ]
    return {
        **document,
        "rows": rows,
        "fastest": msgspec.to_builtins(fastest(comparison)),
        "verdict": None if verdict is None else verdict_json(verdict),
    }


def verdict_json(found: DeploymentVerdict) -> dict[str, object]:
    """The verdict as a JSON object."""
    document: dict[str, object] = msgspec.to_builtins(found)
    return document


def verdict_tables(found: DeploymentVerdict) -> list[Table]:
    """A table for each model: options that hold the limits, then those that do not."""
    return [
        Table(
            f"{one.model}: {_held(one)} {limits_text(found.limits)}",
            _VERDICT_COLUMNS,
            tuple(_option_cells(option) for option in (*one.holding, *one.missing)),
        )
        for one in found.models
    ]


def choice_text(found: ModelVerdict) -> str:
    """The option to take, in a sentence."""
    if not found.holding:
        return f"{found.model}: nothing holds the limits"
    best = found.holding[0]
    price = "" if best.dollars_per_million is None else f", {best.dollars_per_million:.3g} a million"
    return f"{found.model}: {best.engine} on {best.device}{price}"


def limits_text(limits: Limits) -> str:
    """The limits in words."""
    parts: list[str] = []
    if limits.latency_secs is not None:
        parts.append(f"p{limits.percentile:g} ≤ {show_secs(limits.latency_secs)}")
    if limits.throughput_per_second is not None:
        parts.append(f"≥ {limits.throughput_per_second:g} per second")
    if limits.dollars_per_million is not None:
        parts.append(f"≤ {limits.dollars_per_million:g} a million")
    return ", ".join(parts) or "no limit"


def miss_text(miss: Miss) -> str:
    """A miss in words: by how much, and by how many per cent."""
    match miss.limit:
        case Limit.LATENCY:
            return f"latency by {show_secs(miss.by)} ({miss.share:.1%})"
        case Limit.THROUGHPUT:
            return f"throughput by {miss.by:.3g} per second ({miss.share:.1%})"
        case Limit.DOLLARS:
            return f"price by {miss.by:.3g} a million ({miss.share:.1%})"


def _held(found: ModelVerdict) -> str:
    return f"{len(found.holding)} of {len(found.holding) + len(found.missing)} hold"


def _rows(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    least_secs = min(_latency(row) for row in rows)
    return tuple(_cells(row, least_secs) for row in rows)


def _latency(row: Row) -> float:
    return row.measured.p50.secs if row.measured else float("inf")


def _cells(row: Row, least_secs: float) -> tuple[str, ...]:
    found = row.measured
    if found is None:
        return (row.engine, *[_NONE] * 9, row.reason or _NONE)
    return (
        row.engine,
        _interval(found.p50),
        show_secs(found.p90.secs),
        _interval(found.p99),
        f"{found.p50.secs / least_secs:.2f}",
        str(len(found.run_secs)),
        show_secs(found.load_secs),
        _megabytes(found.peak_memory_bytes),
        _megabytes(found.size_bytes),
        _NONE if row.build is None else f"{row.build.tuned_share:.0%}",
        _outputs(row),
    )


def _outputs(row: Row) -> str:
    if row.mistake is not None:
        return f"DIFFERENT: {row.mistake}"
    return "equal within rounding" if row.is_checked else "not compared"


def _interval(found: Percentile) -> str:
    high = "?" if found.high_secs is None else show_secs(found.high_secs)
    return f"{show_secs(found.secs)} ({show_secs(found.low_secs)} to {high})"


def _megabytes(count: int | None) -> str:
    return _NONE if count is None else f"{count / 1e6:.3g} MB"


def _option_cells(option: Option) -> tuple[str, ...]:
    per_second, dollars = option.throughput_per_second, option.dollars_per_million
    return (
        option.engine,
        option.device,
        show_secs(option.latency_secs),
        _NONE if per_second is None else f"{per_second:.3g}",
        _NONE if dollars is None else f"{dollars:.3g}",
        _missed(option),
    )


def _missed(option: Option) -> str:
    texts: Iterable[str] = map(miss_text, option.misses)
    return "; ".join([*texts, *([option.reason] if option.reason else [])]) or "holds"
