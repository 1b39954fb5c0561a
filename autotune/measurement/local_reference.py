"""The pulse of a machine: how long the same small kernel takes, each time it is asked (imports TVM).

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
    Beat,
    parallel_matmul,
    pulse_secs,
    serial_matmul,
    speedup,
    steady_beat,
)
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import tvm_target

_BEATS = 7


def pulse(target: Target) -> float:
    """Seconds of one call of the kernel on all threads: the median of seven beats of about 2 ms."""
    return pulse_secs(_beat(target, parallel_matmul), _BEATS)


def thread_speedup(target: Target) -> float:
    """How many times faster the kernel is on all threads than on one, each at its fastest."""
    return speedup(_beat(target, serial_matmul), _beat(target, parallel_matmul), 2 * _BEATS)


@cache
def _beat(target: Target, kernel: Callable[[int], tvm.IRModule]) -> Beat:
    # Compiled into this process: no file, no linker, and the same machine code each time.
    function = tvm.tirx.build(kernel(SIZE), target=tvm_target(target))["main"]
    rng = np.random.default_rng(0)
    arrays = [tvm.runtime.tensor(rng.random((SIZE, SIZE), np.float32)) for _ in range(3)]

    def run(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            function(*arrays)
        return (time.perf_counter() - started) / number

    return steady_beat(run)
