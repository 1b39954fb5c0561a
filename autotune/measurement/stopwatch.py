"""Timing of a kernel with as few runs as its rank needs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

#: Calls the kernel that many times in a row; the seconds that one call took on average.
Run = Callable[[int], float]

# A repeat is long against the clock's resolution and the cost of starting it.
_REPEAT_SECS = 0.002
_MIN_REPEATS = 5
# Half the width of a 95 % interval of the median: 1.57 · IQR / √n (McGill, Tukey and Larsen 1978).
_INTERVAL = 1.57


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds per call, one a repeat; censored: timing stopped early, far behind the best."""

    run_secs: tuple[float, ...]
    censored: bool


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """A policy for the number of repeats.

    censor_factor:   beyond this multiple of the best so far, a candidate gets one repeat;
    rival_factor:    beyond this multiple it gets the fewest repeats;
    budget_secs:     limit of all repeats together; max_repeats: their largest number;
    precision:       relative half-width of the median's interval that is narrow enough to rank by;
    flush_bytes:     written between single calls to empty the caches, 0 for none;
    cold_secs:       more than waking threads and filling caches can add to a first run: what a candidate may be slower
                     than the censored ones and still get a second look.
    """

    censor_factor: float = 3.0
    rival_factor: float = 1.5
    budget_secs: float = 0.15
    max_repeats: int = 20
    precision: float = 0.01
    flush_bytes: int = 0
    cold_secs: float = 0.02

    def read(self, first_secs: float, run: Run, best_secs: float) -> Reading:
        """Measures a kernel whose first run took first_secs; best_secs: its task's best so far, or infinite.

        The first run pays for cold caches and sleeping threads, so it counts only where it leaves no doubt.
        """
        limit_secs = self.censor_factor * best_secs
        if first_secs > limit_secs + self.cold_secs:
            return Reading((first_secs,), censored=True)
        if first_secs * self.precision > self.cold_secs:
            return Reading((first_secs,), censored=False)
        secs = first_secs
        if first_secs > limit_secs:
            secs = run(self._number(first_secs))
            if secs > limit_secs:
                return Reading((secs,), censored=True)
        number = self._number(secs)
        repeats: list[float] = []
        spent = 0.0
        while not self._settled(repeats, spent, best_secs):
            repeats.append(run(number))
            spent += number * repeats[-1]
            # The first run may have been many times slower than the kernel is.
            number = max(number, self._number(repeats[-1]))
        return Reading(tuple(repeats), censored=False)

    def _number(self, secs: float) -> int:
        """The number of calls of a repeat."""
        return 1 if self.flush_bytes else max(1, math.ceil(_REPEAT_SECS / max(secs, 1e-9)))

    def _settled(self, repeats: list[float], spent_secs: float, best_secs: float) -> bool:
        if not repeats:
            return False
        if spent_secs >= self.budget_secs or len(repeats) >= self.max_repeats:
            return True
        if len(repeats) < 3:
            return False
        if min(repeats) > self.rival_factor * best_secs:
            return True
        return len(repeats) >= _MIN_REPEATS and _half_width(repeats) <= self.precision


def _half_width(repeats: list[float]) -> float:
    """Half the width of the median's interval, relative to the median."""
    lower, median, upper = statistics.quantiles(repeats, n=4)
    return _INTERVAL * (upper - lower) / math.sqrt(len(repeats)) / median
