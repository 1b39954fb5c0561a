"""Checks of devices: reachable, faster with threads, steady."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.doctor.machine import Finding, Health
from autotune.measurement.local_reference import time_reference_kernel
from autotune.runners.factory import thread_speedup
from autotune.runners.thread_scaling import LEAST_SPEEDUP
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces import AutotuneError
from search_spaces.printable_text import counted

_REPEATS = 40
_TIMEOUT_SECS = 30.0
# The 90th percentile of a kernel's latency over the 10th: beyond the first, winners need finals; beyond the second,
# nothing can be told.
_UNSTEADY, _WILD = 1.1, 1.5


def check_device(url: str) -> Iterator[Finding]:
    """Checks one device; takes a few seconds."""
    try:
        device = parse_device(url)
    except AutotuneError as error:
        yield Finding(f"device {url}", Health.PROBLEM, str(error), "correct its name")
        return
    try:
        speedup = thread_speedup(device)
    except (AutotuneError, OSError) as error:
        yield Finding(
            f"device {url}", Health.PROBLEM, str(error), "see what it says; fewer threads: local?threads=1"
        )
        return
    if speedup is None:
        yield Finding(f"device {url}", Health.GOOD, f"{device.fingerprint.name}: answers")
        return
    if device.threads > 1 and speedup < LEAST_SPEEDUP:
        yield Finding(
            f"device {url}",
            Health.WARNING,
            f"{device.fingerprint.name}: {device.threads} threads are {speedup:.2f} times as fast as one",
            "end other programs; tune goes on with the threads that are fastest, local?threads=1 says so at once",
        )
    else:
        yield _good_threads(url, device, speedup)
    if not device.is_here:
        return
    if device.notice and device.connection != "local":
        remedy = "leave the number of threads out, or raise the limit"
        yield Finding(f"threads of {url}", Health.WARNING, device.notice, remedy)
    yield check_drift(f"steadiness of {url}", _reference_secs(device))


def _good_threads(url: str, device: Device, speedup: float) -> Finding:
    found = (
        f"{device.fingerprint.name}: {counted(device.threads, 'thread')}, {speedup:.2f} times as fast as one"
    )
    return Finding(f"device {url}", Health.GOOD, found)


def check_drift(what: str, reference_secs: list[float]) -> Finding:
    """Checks the spread of a reference kernel's latencies."""
    low, middle, high = np.percentile(reference_secs, [10, 50, 90])
    spread = float(high / low)
    health = Health.PROBLEM if spread > _WILD else Health.WARNING if spread > _UNSTEADY else Health.GOOD
    remedy = (
        ""
        if health is Health.GOOD
        else "end other programs; fix the clock (cpupower frequency-set -g performance); move to a machine of your own"
    )
    return Finding(
        what, health, f"{1e6 * middle:.0f} µs, the slowest tenth {spread:.2f} times the fastest", remedy
    )


def _reference_secs(device: Device) -> list[float]:
    needs = WorkerNeeds(time_reference_kernel.__module__, kernel_threads(device.threads))
    with lasting_worker(needs) as pool:
        replies = pool.map([(Call(time_reference_kernel, (device.target,)), _TIMEOUT_SECS)] * _REPEATS)
    return [float(reply.value) for reply in replies if isinstance(reply, Returned)] or [float("inf")]
