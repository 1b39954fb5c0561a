"""Throughputs of compared engines from capacity studies, at the load that a limit of latency leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from autotune.comparison.limits import Limits, ServingRate
from autotune.comparison.result import Comparison, Row
from autotune.packaging.module_name import module_name
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.load_point import LoadPoint
from autotune.throughput.load_run import End
from search_spaces.errors import Misuse
from search_spaces.text_file import read_text

# A study is of a build by this package.
_ENGINES = ("autotune", "untuned")


def read_capacity(path: str | Path) -> CapacityResult:
    """The capacity in a file. Raises Misuse where there is none."""
    try:
        return msgspec.json.decode(read_text(Path(path)), type=CapacityResult)
    except OSError as error:
        raise Misuse(
            f"expected a capacity at {path}; found: {error.strerror}. Write one: autotune capacity MODEL "
            f"--p99-ms 20 --output {path}",
            code="AT735",
        ) from error
    except (ValueError, RecursionError) as error:
        raise Misuse(
            f"expected a document that autotune capacity wrote; {path} is none: {error}. Study the model again with "
            "--output",
            code="AT735",
        ) from error


def serving_rates(
    comparison: Comparison, results: Sequence[CapacityResult], limits: Limits
) -> tuple[ServingRate, ...]:
    """The rates of rows by capacity studies, for `verdict`: nothing is measured for other limits.

    A result belongs to the build of its model on the device with its connection. Raises Misuse where there is none.
    """
    return tuple(_rate(_row_of(comparison, one), one, limits) for one in results)


def _row_of(comparison: Comparison, result: CapacityResult) -> Row:
    devices = {one.name for one in comparison.devices if one.connection == result.connection}
    rows = [
        row
        for engine in _ENGINES
        for row in comparison.rows
        if row.engine == engine and row.device in devices and _is_model(Path(row.model).stem, result.model)
    ]
    if not rows:
        known = ", ".join(f"{row.model} on {row.device}" for row in comparison.rows if row.engine in _ENGINES)
        raise Misuse(
            f"expected the capacity of a build that was compared ({known or 'none was'}); found one of "
            f"{result.model} on {result.connection}. Compare that model with the engine autotune or untuned there",
            code="AT735",
        )
    return rows[0]


def _is_model(compared: str, studied: str) -> bool:
    """Whether a study was of a model: of its file, its library, or its package."""
    return compared in (studied, Path(studied).stem) or module_name(compared) == studied


def _rate(row: Row, result: CapacityResult, limits: Limits) -> ServingRate:
    """The rate at the largest load that is held for sure, or at a smaller one whose latency is within the limit."""
    held = [
        one
        for one in result.curve
        if one.end is End.FINISHED and one.offered_per_second <= result.throughput_per_second
    ]
    within = [
        one
        for one in held
        if limits.latency_secs is None or _latency_secs(one, limits.percentile) <= limits.latency_secs
    ]
    best = max(within or held, key=lambda one: one.offered_per_second, default=None)
    if best is None:
        return ServingRate(row.model, row.device, row.engine, 0.0)
    return ServingRate(
        row.model, row.device, row.engine, best.offered_per_second, _latency_secs(best, limits.percentile)
    )


def _latency_secs(point: LoadPoint, percentile: float) -> float:
    """The measured percentile that is the next one above, the 99th at most."""
    measured = ((50.0, point.p50), (90.0, point.p90), (99.0, point.p99))
    return next((one.secs for each, one in measured if percentile <= each), point.p99.secs)
