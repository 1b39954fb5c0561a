"""Comparisons of engines that nobody measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from autotune.comparison.percentiles import percentile_secs
from autotune.comparison.result import (
    ComparedDevice,
    ComparedModel,
    Comparison,
    Measured,
    Percentile,
    Row,
)


def make_row(engine: str, run_secs: Sequence[float], *, model: str = "net", device: str = "local") -> Row:
    """A row with the runs' extremes as intervals, open for the 99th percentile of fewer than 368 runs."""
    most = max(run_secs)
    p50, p90, p99 = (
        Percentile(percentile_secs(run_secs, each), min(run_secs), most) for each in (50.0, 90.0, 99.0)
    )
    if len(run_secs) < 368:
        p99 = Percentile(p99.secs, p99.low_secs, None)
    mean_secs = statistics.fmean(run_secs)
    found = Measured(tuple(run_secs), mean_secs, p50, p90, p99, 0.1, 60_000_000, 40_000_000, 1_000)
    return Row(model, device, engine, found, is_checked=True)


def make_comparison(rows: Sequence[Row], prices: dict[str, float | None] | None = None) -> Comparison:
    known = prices or {}
    models = dict.fromkeys(row.model for row in rows)
    devices = dict.fromkeys(row.device for row in rows)
    return Comparison(
        "2026-01-02T03:04:05+00:00",
        tuple(ComparedModel(name, f"{name}.onnx", {"x": (1, 3)}) for name in models),
        tuple(ComparedDevice(name, name, "llvm", 2, {}, known.get(name)) for name in devices),
        tuple(rows),
    )
