"""Runners for GPUs of this machine, of NVIDIA or behind OpenCL: caches are emptied before each timed call."""

from __future__ import annotations

from dataclasses import replace

from autotune.devices.device import Device
from autotune.measurement.gpu_kernel import OpenClTrial, try_on_gpu
from autotune.measurement.gpu_reference import GPU_ROWS, PROCESSOR_ROWS, time_gpu_reference
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.local_runner import KernelProgram, LocalRunner
from autotune.runners.runner import TrialLimits
from autotune.workers.fork_server import ForkServer
from autotune.workers.process import Call
from autotune.workers.threads import kernel_threads

#: Larger than the L2 cache of any GPU of today.
FLUSH_BYTES = 128 << 20
#: A time is implausible where so many of the fastest processor cores could not reach it: 2 · 10^15 operations a second.
CORES = 4096
_LIMITS = TrialLimits(timeout_secs=30.0)


def flushing(stopwatch: Stopwatch | None) -> Stopwatch:
    """The stopwatch, by default what a search needs, that empties a GPU's caches."""
    return replace(stopwatch or Stopwatch(), flush_bytes=FLUSH_BYTES)


def gpu_runner(
    device: Device,
    index: int,
    stopwatch: Stopwatch | None = None,
    limits: TrialLimits = _LIMITS,
    server: ForkServer | None = None,
) -> LocalRunner:
    """A runner whose worker process sees one GPU; what a kernel ruins of the driver's state dies with the process.

    index: of the GPU, as the driver counts. An error of a kernel's stays with all later calls of its process, so that a
    new one follows.
    """
    environment = {
        **kernel_threads(device.threads),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": str(index),
    }
    reference = Call(time_gpu_reference, (device.target, "cuda", 0, GPU_ROWS))
    program = KernelProgram(try_on_gpu, environment, CORES, reference, is_spoilt_by_errors=True)
    return LocalRunner(device, flushing(stopwatch), limits, program, server)


def opencl_runner(
    device: Device,
    index: int,
    stopwatch: Stopwatch | None = None,
    limits: TrialLimits = _LIMITS,
    server: ForkServer | None = None,
) -> LocalRunner:
    """A runner for an OpenCL device, by its number among those of all platforms.

    A processor is timed with its caches filled, as it is without OpenCL.
    """
    is_processor = device.fingerprint.facts.get("device_type") == "cpu"
    rows = PROCESSOR_ROWS if is_processor else GPU_ROWS
    reference = Call(time_gpu_reference, (device.target, "opencl", index, rows))
    program = KernelProgram(OpenClTrial(index), kernel_threads(device.threads), CORES, reference)
    chosen = (stopwatch or Stopwatch()) if is_processor else flushing(stopwatch)
    return LocalRunner(device, chosen, limits, program, server)
