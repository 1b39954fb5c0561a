"""The fastest engine of each model and device."""

from __future__ import annotations

import msgspec

from autotune.comparison.result import Comparison, Measured, Row


class Fastest(msgspec.Struct, frozen=True):
    """The answer for one model and device, by the median latency.

    engine:   None where none ran the model with right outputs; next_engine: the second, None where there is one alone;
    ratio:    the second's latency by the fastest's;
    is_clear: whether the two intervals of 95 % do not overlap.
    """

    model: str
    device: str
    engine: str | None = None
    p50_secs: float | None = None
    next_engine: str | None = None
    ratio: float | None = None
    is_clear: bool = False


def fastest(comparison: Comparison) -> tuple[Fastest, ...]:
    """The fastest engine for each model and device, in the order of the rows."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in comparison.rows:
        groups.setdefault((row.model, row.device), []).append(row)
    return tuple(_fastest(model, device, rows) for (model, device), rows in groups.items())


def _fastest(model: str, device: str, rows: list[Row]) -> Fastest:
    ran = sorted(
        ((row.engine, row.measured) for row in rows if row.measured is not None and row.is_usable),
        key=lambda one: one[1].p50.secs,
    )
    if not ran:
        return Fastest(model, device)
    engine, first = ran[0]
    if len(ran) == 1:
        return Fastest(model, device, engine, first.p50.secs)
    next_engine, second = ran[1]
    ratio = second.p50.secs / first.p50.secs
    return Fastest(
        model, device, engine, first.p50.secs, next_engine, ratio, is_clear=_is_clear(first, second)
    )


def _is_clear(first: Measured, second: Measured) -> bool:
    high = first.p50.high_secs
    return high is not None and high < second.p50.low_secs
