"""The actors of a Ray cluster: each supervises worker processes of its node, with their limits (imports Ray)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import ray

from autotune.cluster.bench import Bench
from autotune.cluster.compiler import Compiler
from autotune.cluster.environment import Environment, this_environment
from autotune.cluster.lease_book import Booking, LeaseBook
from autotune.cluster.parcel import CompileReport, CompileRequest, MeasureOrder, MeasureReport, SpeedupOrder
from autotune.devices.connection import Clustered
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device

#: The concurrency group of the calls that stop and continue a compiler.
PAUSING: Final = "pausing"


# A candidate that takes its actor down must not be tried again by Ray, and what is lost is started anew by the crew.
# A compiler is paused while all threads for its orders are busy.
@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={PAUSING: 1})
class CompilerActor:
    """Compiles on its node. count: candidates at once."""

    def __init__(self, count: int) -> None:
        self._compiler = Compiler(count)

    def admit(self) -> tuple[Environment, str]:
        """The versions of its process; no fingerprint."""
        return this_environment(), ""

    def carry_out(self, request: CompileRequest) -> CompileReport:
        """See `Compiler.carry_out`."""
        return self._compiler.carry_out(request)

    def pause(self) -> None:
        """See `Compiler.pause`."""
        self._compiler.pause()

    def resume(self) -> None:
        """See `Compiler.resume`."""
        self._compiler.resume()


@ray.remote(max_restarts=0, max_task_retries=0)
class DeviceActor:
    """Measures on a device of its node, one order at a time. url: of the device, seen from there."""

    def __init__(self, url: str) -> None:
        self._bench = Bench(parse_device(url))

    def admit(self) -> tuple[Environment, str]:
        """The versions of its process, and the key of its device's fingerprint."""
        return this_environment(), self._bench.device.fingerprint.key

    def describe(self, via: Clustered) -> Device:
        """The device as it is seen by the connection."""
        return replace(self._bench.device, name=via.name, connection=str(via), notice=None)

    def carry_out(self, order: MeasureOrder | SpeedupOrder) -> MeasureReport | float:
        """See `Bench.carry_out`."""
        return self._bench.carry_out(order)


# What it knows is told again by those who hold devices, so that it may be started anew at any time.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class BookActor:
    """The lease book of a cluster."""

    def __init__(self) -> None:
        self._book = LeaseBook()

    def refresh(self, job: str, device: str, units: Sequence[str], held: Sequence[str]) -> list[str]:
        """See `LeaseBook.refresh`."""
        return self._book.refresh(job, device, units, held)

    def give_back(self, job: str) -> None:
        """See `LeaseBook.give_back`."""
        self._book.give_back(job)

    def bookings(self) -> list[Booking]:
        """See `LeaseBook.bookings`."""
        return self._book.bookings()
