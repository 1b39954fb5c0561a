"""The number of threads that is fastest on this machine, where all that the process may use are not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from autotune.devices.device import Device, local_device
from autotune.runners.local_runner import LocalRunner
from autotune.runners.thread_scaling import LEAST_SPEEDUP, Scalable, best_speedup
from autotune.workers.fork_server import ForkServer

# The share of a budget that a busy machine is waited for, and bounds of that time.
_SHARE = 0.05
_LEAST_SECS, _MOST_SECS = 1.0, 5.0
# Without a limit on time nothing is lost by a longer look, and fewer threads would file the records elsewhere.
_UNLIMITED_SECS = 30.0


def patience_secs(budget_secs: float | None) -> float:
    """Seconds that a busy machine is waited for within a budget; None: no limit."""
    if budget_secs is None:
        return _UNLIMITED_SECS
    return min(max(_SHARE * budget_secs, _LEAST_SECS), _MOST_SECS)


def with_fastest_threads(device: Device, patience: float, server: ForkServer | None = None) -> Device:
    """The device with the number of threads that is fastest here, and a notice where these are not all of them.

    Only `local` leaves the number open; other devices are returned as they are. patience: seconds that busy
    processors are waited for; server: forks the processes that measure, by default one of their own.
    Raises AutotuneError where the reference kernel does not run.
    """
    if device.connection != "local" or device.threads == 1:
        return device
    return fastest(device, patience, lambda one: LocalRunner(one, server=server))


def fastest(
    device: Device, patience: float, open_runner: Callable[[Device], AbstractContextManager[Scalable]]
) -> Device:
    """As `with_fastest_threads`, measured by runners that are opened for each number of threads."""
    with open_runner(device) as runner:
        speedup = best_speedup(runner, patience)
    if speedup >= LEAST_SPEEDUP:
        return device
    best, most = device, LEAST_SPEEDUP
    threads = device.threads // 2
    while threads > 1:
        fewer = with_threads(device, threads)
        with open_runner(fewer) as runner:
            found = runner.thread_speedup()
        if found > most:
            best, most = fewer, found
        threads //= 2
    chosen = with_threads(device, 1) if best is device else best
    return replace(chosen, notice=_notice(device, speedup, chosen))


def with_threads(device: Device, threads: int) -> Device:
    """This machine's CPU under the same name and connection, with another number of threads."""
    other = local_device(threads)
    return replace(
        other, name=device.name, connection=device.connection, price_per_hour=device.price_per_hour
    )


def _notice(device: Device, speedup: float, chosen: Device) -> str:
    count = f"{chosen.threads} thread{'' if chosen.threads == 1 else 's'}"
    return (
        f"{device.threads} threads are {speedup:.2f} times as fast as one here (siblings of one core, or busy "
        f"processors): going on with {count}; build and bench with --device 'local?threads={chosen.threads}', or end "
        f"other programs and insist with 'local?threads={device.threads}'"
    )
