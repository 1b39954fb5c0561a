"""What this machine can do at most, found by running it: multiply-adds a second, and bytes a second.

The roofline model: Williams, Waterman and Patterson, "Roofline", CACM 52 (2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import psutil

from autotune.job_status import Roof, Roofline
from autotune.worker_pool import WorkerPool
from autotune.worker_process import Call
from autotune.worker_reply import Answer
from search_spaces import AutotuneError

_TIMEOUT_SECS = 60.0
_SIZE = 1024
_REPEATS = 7
# What fits into the private caches of two or more cores, into a shared one, and into the memory alone.
_WORKING_SETS = (1 << 18, 1 << 20, 1 << 23, 1 << 28)
_READ_SECS = 0.01


@dataclass(frozen=True, slots=True)
class Ideal:
    """The least time of a program under a roofline.

    secs: for its operations or for moving its inputs and outputs once, whichever takes longer;
    is_bound_by_memory: which of the two it was; intensity: its operations for each byte.
    """

    secs: float
    is_bound_by_memory: bool
    intensity: float


def ideal(roofline: Roofline, flops: float, moved_bytes: int) -> Ideal:
    """The ideal of a program that does so many operations on so many bytes of inputs and outputs."""
    computing = flops / roofline.flops_per_sec
    moving = moved_bytes / bandwidth(roofline, moved_bytes)
    return Ideal(max(computing, moving), moving > computing, flops / max(moved_bytes, 1))


def bandwidth(roofline: Roofline, working_set_bytes: int) -> float:
    """Bytes a second for data of that size: the roof of the smallest memory into which it fits."""
    roofs = sorted(roofline.roofs, key=lambda roof: roof.working_set_bytes)
    fitting = [roof for roof in roofs if roof.working_set_bytes >= working_set_bytes]
    return (fitting or roofs[-1:])[0].bytes_per_sec


def higher(one: Roofline, other: Roofline) -> Roofline:
    """The better of each of two measurements of a device: whatever disturbed the other only made it slower."""
    rates = {roof.working_set_bytes: roof.bytes_per_sec for roof in one.roofs}
    roofs = tuple(
        Roof(roof.working_set_bytes, max(roof.bytes_per_sec, rates.get(roof.working_set_bytes, 0.0)))
        for roof in other.roofs
    )
    return Roofline(max(one.flops_per_sec, other.flops_per_sec), roofs)


def measure_roofline(threads: int) -> Roofline:
    """Runs matrix products and copies on so many threads, in a process of their own; takes about two seconds.

    Raises AutotuneError where they do not run.
    """
    environment = {
        name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    }
    memory_bytes = int(psutil.virtual_memory().total)
    with WorkerPool(1, Call(_warm_up), environment, memory_bytes, worn_bytes=memory_bytes) as pool:
        [reply] = pool.map([(Call(_measure, (threads,)), _TIMEOUT_SECS)])
    if not isinstance(reply, Answer):
        raise AutotuneError(f"expected a matrix product to run, found {reply.message}")
    found: Roofline = reply.value
    return found


def _warm_up() -> None:
    """Unpickling the call has imported NumPy."""


def _measure(threads: int) -> Roofline:
    rng = np.random.default_rng(0)
    a, b = (rng.random((_SIZE, _SIZE), np.float32) for _ in range(2))
    product_secs = _fastest(lambda: a @ b)
    with ThreadPoolExecutor(threads) as pool:
        rates = [_bytes_per_sec(pool, threads, size) for size in _WORKING_SETS]
    # What is smaller is at least as near: starting a copy costs small ones more than their way.
    roofs = tuple(Roof(size, max(rates[place:])) for place, size in enumerate(_WORKING_SETS))
    return Roofline(2.0 * _SIZE**3 / product_secs, roofs)


def _bytes_per_sec(pool: ThreadPoolExecutor, threads: int, working_set_bytes: int) -> float:
    """Copying half of the working set to the other half, each thread its own part; reads and writes both count."""
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
