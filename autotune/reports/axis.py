"""Axes of charts: scales from values to places, with ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_FEWEST_TICKS = 3
_MOST_TICKS = 7
# What a tick stands at, times a power of ten.
_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale of values, linear or logarithmic; title: what the values are, with their unit."""

    title: str
    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """The place of a value: 0 at the low end, 1 at the high one, cut off beyond them."""
        low, high, at = (
            math.log(one) if self.is_log else one for one in (self.low, self.high, self._in(value))
        )
        return (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        powers = _powers(self.low, self.high) if self.is_log else []
        if len(powers) >= _FEWEST_TICKS:
            kept = [one for one in powers if math.isclose(math.log10(one), round(math.log10(one)))]
            return powers if len(powers) <= _MOST_TICKS else kept[:: -(-len(kept) // _MOST_TICKS)]
        return _even_ticks(self.low, self.high)

    def _in(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def linear_axis(title: str, values: Iterable[float]) -> Axis:
    """A linear axis from 0, or the least value below it, to a little over the largest value."""
    found = [*values, 0.0]
    low, high = min(found), max(found)
    return Axis(title, low, high + 0.04 * (high - low) or 1.0)


def log_axis(title: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis around positive values."""
    found = [one for one in values if one > 0.0] or [1.0]
    return Axis(title, min(found) / 1.08, max(found) * 1.08, is_log=True)


def tick_text(value: float) -> str:
    """A tick's label.

    >>> [tick_text(one) for one in (0.0, 0.25, 1500.0, 2e-7)]
    ['0', '0.25', '1500', '2e-07']
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _powers(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**exponent for exponent in exponents for step in _STEPS[:-1]]
    return [one for one in found if low <= one <= high]


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(one for one in _STEPS if one * scale >= rough * 0.999) * scale
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
