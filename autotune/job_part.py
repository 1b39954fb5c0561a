"""A device's part of a running job: its tuner, and a clock that runs only while it has its turn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from autotune.job_plan import DevicePlan
from autotune.job_status import Roofline
from autotune.tuner import Tuner
from tuning_logs import TuningRecord


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
        """Begins a turn."""
        self._since = self._clock()

    def stop(self) -> None:
        """Ends a turn."""
        self._before, self._since = self(), None


@dataclass
class Part:
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

    @property
    def is_remote(self) -> bool:
        """Whether the device is another machine, where neither rooflines nor whole models are measured."""
        return self.plan.device.connection.startswith("rpc://")
