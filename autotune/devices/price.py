"""The price of inferences on a device."""

from __future__ import annotations

_SECS_AN_HOUR = 3600.0
_MILLION = 1e6


def price_per_million(price_per_hour: float | None, throughput_per_second: float) -> float | None:
    """The price of a million inferences on a device that does nothing else; None without a price or throughput."""
    if price_per_hour is None or throughput_per_second <= 0.0:
        return None
    return price_per_hour / _SECS_AN_HOUR / throughput_per_second * _MILLION
