"""Forecast of the latency that another hour of search saves."""

from __future__ import annotations

import math

_HOUR_SECS = 3600.0
# Less than this tells nothing.
_LEAST_SECS = 60.0


class GainForecast:
    """Extrapolates the objective: each doubling of the search time lowers it as much as the last one did.

    Search curves are about straight over the logarithm of the time.
    """

    def __init__(self) -> None:
        self._curve: list[tuple[float, float]] = []

    def note(self, search_secs: float, objective: float) -> None:
        """Adds the objective (see `Objective.value`) after that many seconds of search."""
        if search_secs > 0:
            self._curve.append((search_secs, objective))

    @property
    def per_hour(self) -> float:
        """The share of the latency that the next hour is expected to take away, from 0 to 1; infinite in the first
        minute, and before the search has gone on for long enough to be divided into halves."""
        if not self._curve or self._curve[-1][0] < max(_LEAST_SECS, 2 * self._curve[0][0]):
            return math.inf
        now_secs, now = self._curve[-1]
        before = [value for secs, value in self._curve if secs <= now_secs / 2][-1]
        a_doubling = max(before - now, 0.0)
        doublings = math.log2((now_secs + _HOUR_SECS) / now_secs)
        return 1.0 - math.exp(-a_doubling * doublings)
