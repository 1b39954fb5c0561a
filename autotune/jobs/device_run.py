"""A device's part of a running job: its tuner, and a clock that runs only while it has its turn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from autotune.devices.roofline import Roofline
from autotune.jobs.plan import DevicePlan
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import AutotuneError
from tuning_logs import RecordStore, TuningRecord

# A device that fails is left alone for half a minute, then for longer and longer, and given up after the fifth time.
_BACKOFF_SECS = 30.0
ATTEMPTS = 5


class TurnClock:
    """Seconds of a device's own turns; it stands while others have theirs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    def __call__(self) -> float:
        """Seconds so far."""
        return self._before + (0.0 if self._since is None else self._clock() - self._since)

    def start(self) -> None:
        """Begins a turn, unless one is under way."""
        if self._since is None:
            self._since = self._clock()

    def stop(self) -> None:
        """Ends a turn."""
        self._before, self._since = self(), None


#: Makes the tuner of one device from the job, the log and a clock.
TunerFactory = Callable[[TuningJob, RecordStore, Callable[[], float]], Tuner]


def default_tuner(job: TuningJob, log: RecordStore, clock: Callable[[], float]) -> Tuner:
    """A tuner with the builder and runner of its device."""
    return Tuner(job, log, clock=clock)


@dataclass
class DeviceRun:
    """A device, its tuner, and how it does.

    rounds:  what the tuner yields, None before it starts and while the device is left alone;
    trouble: why the device was left alone last; failures: how often in a row, until retry_at (seconds of the run).
    """

    plan: DevicePlan
    clock: TurnClock
    tuner: Tuner | None = None
    rounds: Generator[list[TuningRecord], None, None] | None = None
    roofline: Roofline | None = None
    failures: int = 0
    retry_at: float = 0.0
    trouble: str | None = None
    is_done: bool = False

    def set_aside(self, error: AutotuneError, now_secs: float) -> None:
        """Leaves the device alone for a while, and gives it up after the fifth time in a row."""
        self.rounds, self.failures, self.trouble = None, self.failures + 1, str(error)
        self.is_done = self.failures >= ATTEMPTS
        self.retry_at = now_secs + _BACKOFF_SECS * 2 ** (self.failures - 1)
        self.clock.stop()
