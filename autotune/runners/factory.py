"""Builders and runners of devices."""

from __future__ import annotations

from collections.abc import Callable

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import Clustered, Cuda, Local, OpenCl, Rpc
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.gpu_runner import CORES, flushing, gpu_runner, opencl_runner
from autotune.runners.local_runner import LocalRunner
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.runners.runner import Runner
from autotune.runners.thread_scaling import Scalable, best_speedup, check_threads
from autotune.runners.thread_watch import ThreadWatch
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import AutotuneError

# How long busy processors are waited for where nothing but the speedup is asked for.
_PATIENCE_SECS = 2.0


def open_builder(device: Device, server: ForkServer | None = None) -> LocalBuilder:
    """A builder on this machine that links for the device. Raises AutotuneError where there is no such linker.

    server: forks its processes, by default one of its own.
    """
    return LocalBuilder(linker=device.linker, server=server)


def open_runner(
    device: Device, stopwatch: Stopwatch | None = None, server: ForkServer | None = None
) -> LocalRunner | RpcRunner:
    """A runner for the device, by its connection.

    stopwatch: the policy for repeats, by default a search's;
    server:    forks a process that measures here, by default one of the runner's own.

    Raises AutotuneError where a board's threads lose against one of them, or its tracker does not answer. Those of
    this machine are looked at by a `ThreadWatch`.
    """
    match device.via:
        case Rpc() as boards if device.target.is_gpu:
            return RpcRunner(boards, BoardOptions(CORES), flushing(stopwatch))
        case Rpc() as boards if device.fingerprint.facts.get("emulated"):
            # Emulated times say nothing, and so would those of the reference kernel.
            return RpcRunner(boards, BoardOptions(device.threads), stopwatch)
        case Rpc() as boards:
            options = BoardOptions(device.threads, (device.target, device.linker))
            return _checked(device, RpcRunner(boards, options, stopwatch))
        case Cuda(index):
            return gpu_runner(device, index, stopwatch, server=server)
        case OpenCl(index):
            return opencl_runner(device, index, stopwatch, server=server)
        case Local():
            return LocalRunner(device, stopwatch, server=server)
        case Clustered():
            raise AutotuneError(
                f"expected workers that reach {device.connection!r}, a device of a cluster; found none",
                code="AT751",
            )


def thread_speedup(device: Device) -> float | None:
    """The speedup of the reference kernel on the device's threads over one; None for GPUs and emulated boards, which
    are only connected to. Raises AutotuneError as `open_runner` does."""
    with open_runner(device) as runner:
        if device.target.is_gpu or device.fingerprint.facts.get("emulated"):
            return None
        return 1.0 if device.threads == 1 else best_speedup(runner, _PATIENCE_SECS)


def watch_threads(device: Device, runner: Runner, clock: Callable[[], float]) -> ThreadWatch | None:
    """A watch on the threads of this machine's CPU, which has looked once; None for other devices.

    Raises AutotuneError where the reference kernel does not run.
    """
    if not isinstance(device.via, Local) or not isinstance(runner, Scalable):
        return None
    watch = ThreadWatch(device, runner, clock)
    watch.look()
    return watch


def _checked(device: Device, runner: RpcRunner) -> RpcRunner:
    try:
        check_threads(device, runner)
    except BaseException:
        runner.close()
        raise
    return runner
