"""What a device is measured with: a builder for its target, and a runner that reaches it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.drift import DriftMonitor
from autotune.runners.gpu_runner import CORES, FLUSH_BYTES, GpuRunner
from autotune.runners.local_runner import LocalRunner
from autotune.runners.rpc_runner import RemoteRunner
from autotune.runners.runner import Runner
from autotune.runners.thread_scaling import check_threads
from autotune.workers.fork_server import ForkServer

_Runner = TypeVar("_Runner", LocalRunner, RemoteRunner)


def open_builder(device: Device, server: ForkServer | None = None) -> LocalBuilder:
    """Compiles on this machine, and links for the device. Raises AutotuneError where there is no such linker.

    server: what starts its processes, by default one of its own.
    """
    return LocalBuilder(linker=device.linker, server=server)


def open_runner(
    device: Device, drift: DriftMonitor, stopwatch: Stopwatch | None = None, server: ForkServer | None = None
) -> LocalRunner | RemoteRunner:
    """Reaches the device; drift: what is told of its speed.

    stopwatch: how much effort a candidate is worth, by default what a search needs.
    server:    what starts a process that measures here, by default one of the runner's own.

    Raises AutotuneError where the device's threads lose against one of them, or its tracker does not answer.
    """
    if not device.is_here:
        address, key = device.boards
        if device.target.is_gpu:
            flushing = replace(stopwatch or Stopwatch(), flush_bytes=FLUSH_BYTES)
            return RemoteRunner(address, key, CORES, flushing)
        # Emulated times say nothing, and so would their pulse.
        reference = None if device.fingerprint.facts.get("emulated") else (device.target, device.linker)
        remote = RemoteRunner(address, key, device.threads, stopwatch, reference=reference, drift=drift)
        return _checked(device, remote) if reference else remote
    if device.connection.startswith("cuda:"):
        return GpuRunner(
            device, int(device.connection.removeprefix("cuda:")), stopwatch=stopwatch, server=server
        )
    return _checked(device, LocalRunner(device, stopwatch, drift=drift, server=server))


def enter_runner(
    stack: ExitStack,
    device: Device,
    drift: DriftMonitor,
    stopwatch: Stopwatch | None = None,
    server: ForkServer | None = None,
) -> Runner:
    """The same as `open_runner`, closed when the stack is left."""
    runner = open_runner(device, drift, stopwatch, server)
    stack.callback(runner.close)
    return runner


def thread_speedup(device: Device) -> float | None:
    """How many times faster a small kernel is on the device's threads than on one of them; None for GPUs and for
    emulated boards, which are only reached. Raises AutotuneError as `open_runner` does."""
    with open_runner(device, DriftMonitor()) as runner:
        if device.target.is_gpu or device.fingerprint.facts.get("emulated"):
            return None
        return 1.0 if device.threads == 1 else runner.thread_speedup()


def _checked(device: Device, runner: _Runner) -> _Runner:
    try:
        check_threads(device, runner)
    except BaseException:
        runner.close()
        raise
    return runner
