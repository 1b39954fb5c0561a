"""The interface of workers: where candidates are compiled and measured."""

from __future__ import annotations

from typing import Protocol

from autotune.builders.builder import Builder
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.factory import open_builder, open_runner
from autotune.runners.runner import Runner
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import ForkServer, kernel_server


class Workers(Protocol):
    """Builders and runners of devices; those that were opened are closed before the workers are."""

    def reach(self, url: str) -> Device:
        """The device that a URL names. Raises AutotuneError where it cannot be reached."""
        ...

    def open_builder(self, device: Device) -> Builder:
        """A builder that compiles for the device. Raises AutotuneError where nothing does."""
        ...

    def open_runner(self, device: Device, stopwatch: Stopwatch | None = None) -> Runner:
        """A runner that measures on the device; stopwatch: the policy for repeats, by default a search's.

        Raises AutotuneError where the device cannot be reached.
        """
        ...

    def close(self) -> None:
        """Releases what the workers hold."""
        ...


class LocalWorkers(Closeable):
    """The processes of this machine, and the boards that are reached from it.

    server: forks the processes, by default one of these workers' own.
    """

    def __init__(self, server: ForkServer | None = None) -> None:
        self._own = None if server else kernel_server()
        self._server = server or self._own

    def reach(self, url: str) -> Device:
        """See `Workers.reach`."""
        return parse_device(url)

    def open_builder(self, device: Device) -> Builder:
        """See `Workers.open_builder`."""
        return open_builder(device, self._server)

    def open_runner(self, device: Device, stopwatch: Stopwatch | None = None) -> Runner:
        """See `Workers.open_runner`."""
        return open_runner(device, stopwatch, self._server)

    def close(self) -> None:
        """Ends the server, where it is these workers' own."""
        if self._own is not None:
            self._own.close()
