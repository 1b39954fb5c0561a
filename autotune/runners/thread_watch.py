"""Looks at a device's threads while a job runs: whether they are faster than one, and what the process may use."""

from __future__ import annotations

import time
from collections.abc import Callable

from autotune.devices.device import Device
from autotune.machine.allowance import Allowance, read_allowance
from autotune.runners.thread_scaling import LEAST_SPEEDUP, Scalable, best_speedup
from search_spaces.errors import AutotuneError

# Pauses between looks double: a look takes a third of a second, and what changes is seldom changed again.
_FIRST_PAUSE_SECS, _MOST_SECS = 30.0, 600.0
# How long a look that finds threads slow goes on looking, at the start and later.
_PATIENCE_SECS = 1.0


class ThreadWatch:
    """Looks at once, after half a minute, and then at longer and longer intervals, ten minutes at most.

    clock: seconds; allowance: reads what the process may use.
    """

    def __init__(
        self,
        device: Device,
        runner: Scalable,
        clock: Callable[[], float] = time.monotonic,
        allowance: Callable[[], Allowance] = read_allowance,
    ) -> None:
        self._device, self._runner = device, runner
        self._clock, self._allowance = clock, allowance
        self._at_start = self._now = allowance()
        self._speedups: list[float] = []
        self._next_at = clock()
        self._pause_secs = _FIRST_PAUSE_SECS

    def look(self) -> None:
        """Looks, where it is time to. Raises AutotuneError where the first look finds that the kernel does not run."""
        if self._clock() < self._next_at:
            return
        self._now = self._allowance()
        if self._device.threads > 1:
            try:
                self._speedups.append(best_speedup(self._runner, _PATIENCE_SECS))
            except AutotuneError:
                # Later the trials themselves tell of a device in trouble.
                if not self._speedups:
                    raise
        self._next_at = self._clock() + self._pause_secs
        self._pause_secs = min(2 * self._pause_secs, _MOST_SECS)

    @property
    def warning(self) -> str | None:
        """A sentence for the user where threads lose or lost, or where the process may use other processors than at
        the start; None elsewhere."""
        found = [one for one in (self._of_speed(), self._of_allowance()) if one]
        return "; ".join(found) or None

    def _of_speed(self) -> str | None:
        lost = sum(one < LEAST_SPEEDUP for one in self._speedups)
        if not lost:
            return None
        count = self._device.threads
        if self._speedups[-1] >= LEAST_SPEEDUP:
            return f"{count} threads were no faster than one at {lost} of {len(self._speedups)} looks: times vary"
        then = "" if len(self._speedups) == 1 else f", {self._speedups[0]:.2f} times at the start"
        return (
            f"{count} threads are {self._speedups[-1]:.2f} times as fast as one{then}: the processors are busy, shared "
            "or limited; end other programs, or tune with local?threads=1"
        )

    def _of_allowance(self) -> str | None:
        if self._now.granted == self._at_start.granted:
            return None
        return (
            f"this process may use {self._now.granted} now, {self._at_start.granted} at the start: times before and "
            "after do not compare; start the job again"
        )
