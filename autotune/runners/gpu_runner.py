"""Running artifacts on an NVIDIA GPU of this machine: one at a time, checked, timed with the caches emptied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from autotune.devices.device import Device
from autotune.measurement.gpu_kernel import try_on_gpu
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.local_runner import LocalRunner
from autotune.workers.fork_server import ForkServer

#: Larger than the L2 cache of any GPU of today.
FLUSH_BYTES = 128 << 20
#: A time is implausible where so many of the fastest processor cores could not reach it: 2 · 10^15 operations a second.
CORES = 4096


class GpuRunner(LocalRunner):
    """Runs in one worker process that sees one GPU; what a kernel ruins of the driver's state dies with the process.

    index: of the GPU, as the driver counts.
    """

    _trial: ClassVar[Callable[..., object]] = staticmethod(try_on_gpu)

    def __init__(
        self,
        device: Device,
        index: int,
        timeout_secs: float = 30.0,
        stopwatch: Stopwatch | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self._index = index
        flushing = replace(stopwatch or Stopwatch(), flush_bytes=FLUSH_BYTES)
        super().__init__(device, flushing, timeout_secs, server=server)
        self._threads = CORES

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": str(self._index),
        }

    def _take_pulse(self) -> bool:
        # The pulse is a kernel of the processor's; it says nothing about a GPU.
        return True
