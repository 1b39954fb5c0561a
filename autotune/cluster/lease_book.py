"""Leases of devices by jobs: exclusive, fair, and ended by the clock where a job does not renew them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

#: A lease that is not renewed for so long is over: its job was killed, or cut off.
LEASE_SECS: Final = 60.0
#: A job that others wait for keeps a device so long at least, since a change costs seconds.
TURN_SECS: Final = 30.0
# Use is forgotten by half in so long, so that a job pays for its past for a while only.
_HALF_LIFE_SECS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Booking:
    """A device that is leased. unit: the device's seat; job: of its holder; held_secs: since it was granted; left_secs:
    until it ends if it is not renewed; waiting: the other jobs that ask for a device of that name."""

    device: str
    unit: str
    job: str
    held_secs: float
    left_secs: float
    waiting: tuple[str, ...] = ()


@dataclass(slots=True)
class _Lease:
    job: str
    since: float
    until: float


class LeaseBook:
    """The leases of a cluster's devices. clock: seconds.

    A free device goes to the waiting job that has had the least device time; a job that has had more than a waiting one
    hands over after its turn. Jobs that wait or hold call `refresh` all the time; who does not is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._waiting: dict[tuple[str, str], float] = {}
        self._used: dict[str, float] = defaultdict(float)
        self._charged = clock()

    def refresh(self, job: str, device: str, units: Sequence[str], held: Sequence[str]) -> list[str]:
        """Renews a job's leases of devices of a name, and grants and ends some; returns the units that it has now.

        units: all devices of the name; held: those that the job still works with, also where their lease has ended:
        they stay its own until it lets them go, since two must never measure on one.
        """
        self._settle()
        now = self._clock()
        self._waiting[job, device] = now + LEASE_SECS
        for unit in units:
            self._review(job, device, unit, unit in held)
        mine = [unit for unit in units if self._holder(device, unit) == job]
        for unit in units:
            if self._holder(device, unit) is None and self._is_next(job, device, len(mine)):
                self._leases[device, unit] = _Lease(job, now, now + LEASE_SECS)
                mine.append(unit)
        # One at a time: with it the others may no longer be too many.
        due = next((unit for unit in mine if self._is_due(device, unit)), None)
        return [unit for unit in mine if unit != due]

    def give_back(self, job: str) -> None:
        """Ends all leases of a job, and its waiting."""
        self._settle()
        for place in [place for place, lease in self._leases.items() if lease.job == job]:
            del self._leases[place]
        for place in [place for place in self._waiting if place[0] == job]:
            del self._waiting[place]

    def bookings(self) -> list[Booking]:
        """The leases, by device and unit."""
        self._settle()
        now = self._clock()
        return [
            Booking(
                device,
                unit,
                lease.job,
                now - lease.since,
                lease.until - now,
                tuple(self._rivals(lease.job, device)),
            )
            for (device, unit), lease in sorted(self._leases.items())
        ]

    def _review(self, job: str, device: str, unit: str, is_held: bool) -> None:  # noqa: FBT001
        """Renews a job's lease of a unit, or ends one that is due and has been let go."""
        lease, now = self._leases.get((device, unit)), self._clock()
        if lease is None and is_held:
            # The book was started anew, or the job was away for long: nobody else has it.
            self._leases[device, unit] = _Lease(job, now, now + LEASE_SECS)
        elif lease is not None and lease.job == job:
            if self._is_due(device, unit) and not is_held:
                del self._leases[device, unit]
            else:
                lease.until = now + LEASE_SECS

    def _is_due(self, device: str, unit: str) -> bool:
        """Whether a lease has had its turn, and somebody waits who has had less."""
        lease = self._leases[device, unit]
        if self._clock() - lease.since < TURN_SECS:
            return False
        used, count = self._used[lease.job], self._count(lease.job, device)
        return any(
            self._count(one, device) < count and self._used[one] < used
            for one in self._rivals(lease.job, device)
        )

    def _is_next(self, job: str, device: str, count: int) -> bool:
        """Whether a free device is a job's to take: nobody who holds fewer, or as many and has had less, waits."""
        mine = (count, self._used[job])
        return not any(
            (self._count(one, device), self._used[one]) < mine for one in self._rivals(job, device)
        )

    def _rivals(self, job: str, device: str) -> list[str]:
        """The other jobs that wait for a device of that name, or hold one."""
        return sorted({one for one, wanted in self._waiting if wanted == device and one != job})

    def _count(self, job: str, device: str) -> int:
        return sum(lease.job == job for (name, _), lease in self._leases.items() if name == device)

    def _holder(self, device: str, unit: str) -> str | None:
        lease = self._leases.get((device, unit))
        return lease.job if lease else None

    def _settle(self) -> None:
        """Charges device time, ends leases that were not renewed, and forgets who has stopped waiting."""
        now = self._clock()
        secs, self._charged = now - self._charged, now
        forgotten = 0.5 ** (secs / _HALF_LIFE_SECS)
        for job in self._used:
            self._used[job] *= forgotten
        for lease in self._leases.values():
            self._used[lease.job] += secs
        for place in [place for place, lease in self._leases.items() if lease.until <= now]:
            del self._leases[place]
        for asked in [asked for asked, until in self._waiting.items() if until <= now]:
            del self._waiting[asked]
