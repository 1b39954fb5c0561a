"""Measurement of a machine's roofline: multiply-adds and bytes a second (imports TVM)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tvm

from autotune.devices.fma_kernel import multiply_adds, operations
from autotune.devices.host import cpu_target
from autotune.devices.roofline import Roof, Roofline
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces import AutotuneError
from search_spaces.tensor_ir.modules import signature, tvm_target
from search_spaces.tensor_ir.vector_unit import vector_unit

_TIMEOUT_SECS = 60.0
_REPEATS = 7
# Sizes for the private caches of two or more cores, for a shared cache, and for memory.
_WORKING_SETS = (1 << 18, 1 << 20, 1 << 23, 1 << 28)
_READ_SECS = 0.01


def measure_roofline(threads: int) -> Roofline:
    """Runs multiply-adds and copies on so many threads, in a process of their own; takes about two seconds.

    Raises AutotuneError where they do not run.
    """
    with lasting_worker(WorkerNeeds(__name__, kernel_threads(threads))) as pool:
        [reply] = pool.map([(Call(_measure, (threads,)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected multiply-adds to run, found {reply.message}", code="AT408")
    found: Roofline = reply.value
    return found


def _measure(threads: int) -> Roofline:
    flops_per_sec = _flops_per_sec(threads)
    with ThreadPoolExecutor(threads) as pool:
        rates = [_bytes_per_sec(pool, threads, size) for size in _WORKING_SETS]
    # Smaller data is at least as near; its measured rate is lower because starting a copy takes time.
    roofs = tuple(Roof(size, max(rates[place:])) for place, size in enumerate(_WORKING_SETS))
    return Roofline(flops_per_sec, roofs)


def _flops_per_sec(threads: int) -> float:
    """Operations a second: multiply-adds in registers, counted as two operations each."""
    target = tvm_target(cpu_target(threads))
    unit = vector_unit(target)
    module = multiply_adds(unit)
    kernel = tvm.compile(module, target=target)["main"]
    arguments = [tvm.runtime.tensor(np.ones(spec.shape, np.float32)) for spec in signature(module)]
    return operations(unit) / _fastest(lambda: kernel(*arguments))


def _bytes_per_sec(pool: ThreadPoolExecutor, threads: int, working_set_bytes: int) -> float:
    """Bytes a second of copying half of the working set to the other half; reads and writes both count."""
    part = working_set_bytes // threads // 2 // 4
    pairs = [(np.ones(part, np.float32), np.zeros(part, np.float32)) for _ in range(threads)]
    moved = 2 * 4 * part * threads
    # Enough copies for a thread that its start does not matter.
    times = max(1, round(_READ_SECS * 20e9 / moved))

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        source, destination = pair
        for _ in range(times):
            np.copyto(destination, source)

    return moved * times / _fastest(lambda: list(pool.map(copy, pairs)))


def _fastest(run: Callable[[], object]) -> float:
    run()
    taken = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)
