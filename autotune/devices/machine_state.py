"""The machine's state while a job runs: load by other programs, clock frequency, temperature, throttling."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import psutil

_THROTTLES = "devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"


class MachineState(msgspec.Struct, frozen=True):
    """A sample of the machine's state; values that the system does not report are None.

    busy_elsewhere: processors that other programs, or other guests of the same host, used since the last sample;
    load:           the load average of the last minute, this job included;
    throttles:      thermal throttling events since the processor was started.
    """

    time: str
    busy_elsewhere: float
    load: float
    mhz: float | None
    celsius: float | None
    throttles: int | None


class MachineWatch:
    """Samples the machine's state, without the load of this process and its children."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._last = self._spent()

    def look(self, now: str) -> MachineState:
        """The state since the last sample, or since the watch was made; now: the sample's time."""
        last, self._last = self._last, self._spent()
        wall, others = self._last[0] - last[0], self._last[1] - last[1]
        return MachineState(
            now,
            round(max(others / wall, 0.0), 3) if wall > 0 else 0.0,
            round(psutil.getloadavg()[0], 2),
            _mhz(),
            _celsius(),
            throttles(self._sys),
        )

    def _spent(self) -> tuple[float, float]:
        """Wall-clock seconds, and processor seconds of all other processes."""
        return time.monotonic(), _busy_secs() - _own_secs()


def throttles(sys: Path = Path("/sys")) -> int | None:
    """Thermal throttling events of all cores, None where the system does not count them."""
    files = sorted(sys.glob(_THROTTLES))
    try:
        return sum(int(file.read_text()) for file in files) if files else None
    except (OSError, ValueError):
        return None


def _busy_secs() -> float:
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system + getattr(spent, "steal", 0.0))


def _own_secs() -> float:
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            spent = process.cpu_times()
        except psutil.Error:
            continue
        total += float(spent.user + spent.system + spent.children_user + spent.children_system)
    return total


def _mhz() -> float | None:
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    return round(float(found.current), 1) if found and found.current else None


def _celsius() -> float | None:
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    found = [float(one.current) for group in sensors.values() for one in group if one.current]
    return max(found, default=None)
