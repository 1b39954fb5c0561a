"""Whether the machine is still as fast as it was, told by a kernel that never changes, run between the trials."""

from __future__ import annotations

import statistics
from collections import deque

from search_spaces import Config

# A pulse varies by a few hundredths on a quiet machine; a busy neighbour, or a clock turned down, costs more.
_TOLERANCE = 0.1
_REMEMBERED = 25


class DriftMonitor:
    """The pulses of a machine: seconds of the same kernel, again and again.

    The usual pulse is the median of the last 25 that were steady. A pulse more than a tenth slower tells of drift:
    what was measured since the one before is not to be trusted. One more than a tenth faster tells that the machine
    was slow until now, and the usual pulse is found anew.

    slowdown:      the last pulse over the usual one;
    repeated: how many trials were taken back because of drift;
    unsteady:      what was measured while the machine stayed slow, by task key and config, and how slow it was.
    """

    def __init__(self) -> None:
        self.slowdown = 1.0
        self.repeated = 0
        self.unsteady: dict[tuple[str, Config], float] = {}
        self._steady: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def baseline_secs(self) -> float | None:
        """The usual pulse, None before the first."""
        return statistics.median(self._steady) if self._steady else None

    @property
    def is_steady(self) -> bool:
        """Whether the last pulse was as usual."""
        return self.slowdown <= 1 + _TOLERANCE

    @property
    def warning(self) -> str | None:
        """What a user should know; None while nothing ever drifted."""
        if not self.is_steady:
            return (
                f"the machine is {self.slowdown:.1f} times slower than it was: something else is running, or its "
                f"clock was turned down ({len(self.unsteady)} trials measured meanwhile)"
            )
        if self.repeated or self.unsteady:
            return (
                f"the machine was slower for a while: {self.repeated} trials were measured anew, "
                f"{len(self.unsteady)} could not be"
            )
        return None

    def take(self, pulse_secs: float) -> bool:
        """Takes in a pulse; whether it is steady."""
        usual = self.baseline_secs
        self.slowdown = 1.0 if usual is None else pulse_secs / usual
        if self.slowdown < 1 / (1 + _TOLERANCE):
            self._steady.clear()
        if self.is_steady:
            self._steady.append(pulse_secs)
        return self.is_steady
