"""What a device is measured with: a builder for its target, and a runner that reaches it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import Cuda, Local, Rpc
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.gpu_runner import CORES, flushing, gpu_runner
from autotune.runners.local_runner import LocalRunner
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.runners.runner import Runner
from autotune.runners.thread_scaling import check_threads
from autotune.workers.fork_server import ForkServer

_Runner = TypeVar("_Runner", LocalRunner, RpcRunner)


def open_builder(device: Device, server: ForkServer | None = None) -> LocalBuilder:
    """Compiles on this machine, and links for the device. Raises AutotuneError where there is no such linker.

    server: what starts its processes, by default one of its own.
    """
    return LocalBuilder(linker=device.linker, server=server)


def open_runner(
    device: Device, stopwatch: Stopwatch | None = None, server: ForkServer | None = None
) -> LocalRunner | RpcRunner:
    """Reaches the device.

    stopwatch: how much effort a candidate is worth, by default what a search needs.
    server:    what starts a process that measures here, by default one of the runner's own.

    Raises AutotuneError where the device's threads lose against one of them, or its tracker does not answer.
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
        case Local():
            return _checked(device, LocalRunner(device, stopwatch, server=server))


def enter_runner(
    stack: ExitStack, device: Device, stopwatch: Stopwatch | None = None, server: ForkServer | None = None
) -> Runner:
    """The same as `open_runner`, closed when the stack is left."""
    runner = open_runner(device, stopwatch, server)
    stack.callback(runner.close)
    return runner


def thread_speedup(device: Device) -> float | None:
    """How many times faster a small kernel is on the device's threads than on one of them; None for GPUs and for
    emulated boards, which are only reached. Raises AutotuneError as `open_runner` does."""
    with open_runner(device) as runner:
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
