"""A runner that repeats what ran on a slow device, around any other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from autotune.builders.artifact import Artifact
from autotune.runners.drift import is_steady
from autotune.runners.runner import Outcome, Overlapping, Runner
from tuning_logs.records.measurement import Failure, Timing, is_device_lost

# How long a device that is slow is given to recover.
_PAUSE_SECS = 0.5
# The share of the runner's life that pauses and repeats may take.
_SHARE = 0.1


class SteadyRunner:
    """Repeats trials that ran while their device was slow: once, after a pause, for at most a tenth of the time.

    A device that was slow in the repeats as well is taken to stay slow: nothing is repeated again until one of its
    trials is steady. What ran on a slow device at last keeps its slowdown in the outcome.

    clock, sleep: of time, in seconds.
    slowdown:     the largest of the last run's outcomes; repeated: trials whose repeat ran on a steady device.
    """

    def __init__(
        self,
        runner: Runner,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.slowdown = 1.0
        self.repeated = 0
        self._runner = runner
        self._clock = clock
        self._sleep = sleep
        self._started = clock()
        self._spent_secs = 0.0
        self._stays_slow = False

    @property
    def overlaps(self) -> bool:
        """See `Overlapping.overlaps`."""
        return isinstance(self._runner, Overlapping) and self._runner.overlaps

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """See `Runner.run`."""
        started = self._clock()
        outcomes = list(self._runner.run(artifacts, best_secs))
        timed = [place for place, one in enumerate(outcomes) if isinstance(one.measurement, Timing)]
        slow = [place for place in timed if not is_steady(outcomes[place].slowdown)]
        if len(slow) < len(timed):
            self._stays_slow = False
        trial_secs = (self._clock() - started) / max(len(artifacts), 1)
        if slow and not self._stays_slow and self._has_time(_PAUSE_SECS + len(slow) * trial_secs):
            again = self._repeat([artifacts[place] for place in slow], best_secs)
            for place, outcome in zip(slow, again, strict=True):
                outcomes[place] = _more_trustworthy(outcomes[place], outcome)
        if outcomes:
            self.slowdown = max(one.slowdown for one in outcomes)
        return outcomes

    def close(self) -> None:
        """Closes the runner that it is around."""
        self._runner.close()

    def _repeat(self, artifacts: Sequence[Artifact], best_secs: float) -> list[Outcome]:
        started = self._clock()
        self._sleep(_PAUSE_SECS)
        outcomes = self._runner.run(artifacts, best_secs)
        steady = sum(is_steady(one.slowdown) for one in outcomes)
        self.repeated += steady
        self._stays_slow = not steady
        self._spent_secs += self._clock() - started
        return outcomes

    def _has_time(self, secs: float) -> bool:
        return self._spent_secs + secs <= _SHARE * (self._clock() - self._started)


def _more_trustworthy(first: Outcome, again: Outcome) -> Outcome:
    """The repeat's failure, which may show in some runs only, else what ran on the faster device."""
    if is_device_lost(again.measurement):
        return first
    if isinstance(again.measurement, Failure):
        return again
    return min(again, first, key=lambda one: one.slowdown)
