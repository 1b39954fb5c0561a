"""Drift of a device's speed, told by a reference kernel that is timed between the trials."""

from __future__ import annotations

import statistics
from collections import deque

# The kernel's time varies by a few hundredths on a quiet machine; a busy neighbour, or a lower clock, costs more.
_TOLERANCE = 0.1
_REMEMBERED = 25


def is_steady(slowdown: float) -> bool:
    """Whether a device was as fast as usual: at most a tenth slower."""
    return slowdown <= 1 + _TOLERANCE


class DriftMonitor:
    """Times of the reference kernel on one device, held against their baseline.

    The baseline is the median of the last 25 steady times. A time more than a tenth slower tells of drift: what was
    measured since the time before is not to be trusted. One more than a tenth faster tells that the device was slow
    until now, and the baseline starts anew.

    slowdown: the last time over the baseline.
    """

    def __init__(self) -> None:
        self.slowdown = 1.0
        self._steady: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def baseline_secs(self) -> float | None:
        """The usual time, None before the first."""
        return statistics.median(self._steady) if self._steady else None

    def observe(self, reference_secs: float) -> float:
        """Takes in a time of the reference kernel, and returns the slowdown."""
        baseline_secs = self.baseline_secs
        self.slowdown = 1.0 if baseline_secs is None else reference_secs / baseline_secs
        if self.slowdown < 1 / (1 + _TOLERANCE):
            self._steady.clear()
        if is_steady(self.slowdown):
            self._steady.append(reference_secs)
        return self.slowdown


def drift_warning(slowdown: float, repeated: int, unsteady: int) -> str | None:
    """A warning for the user of a device that was slow; None where it never was.

    slowdown: of the device now; repeated: trials that were measured again once it had recovered; unsteady: trials
    that could not be.
    """
    if not is_steady(slowdown):
        return (
            f"the machine is {slowdown:.1f} times slower than it was: something else is running, or its "
            f"clock was turned down ({unsteady} trials measured meanwhile)"
        )
    if repeated or unsteady:
        return f"the machine was slower for a while: {repeated} trials were measured anew, {unsteady} could not be"
    return None
