"""The reference kernel on this machine (imports TVM).

Runs in the worker process that measures candidates, with its threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import tvm

from autotune.measurement.reference_kernel import (
    SIZE,
    TimedBatch,
    parallel_matmul,
    reference_secs,
    serial_matmul,
    speedup,
    timed_batch,
)
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import tvm_target

_REPEATS = 7


def time_reference_kernel(target: Target) -> float:
    """Seconds of one call of the kernel on all threads: the median of seven batches of about 2 ms."""
    return reference_secs(_batch(target, parallel_matmul), _REPEATS)


def thread_speedup(target: Target) -> float:
    """Speedup of the kernel on all threads over one thread, each at its fastest."""
    return speedup(_batch(target, serial_matmul), _batch(target, parallel_matmul), 2 * _REPEATS)


@cache
def _batch(target: Target, kernel: Callable[[int], tvm.IRModule]) -> TimedBatch:
    # Compiled into this process: no file, no linker, and the same machine code each time.
    function = tvm.tirx.build(kernel(SIZE), target=tvm_target(target))["main"]
    rng = np.random.default_rng(0)
    arrays = [tvm.runtime.tensor(rng.random((SIZE, SIZE), np.float32)) for _ in range(3)]

    def run(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            function(*arrays)
        return (time.perf_counter() - started) / number

    return timed_batch(run)
