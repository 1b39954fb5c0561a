"""The pulse of a machine: how long the same small kernel takes, each time it is asked (imports TVM).

Runs in the worker process that measures candidates, with its threads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import tvm

from autotune.parallel_matmul import parallel_matmul
from search_spaces.modules import tvm_target
from search_spaces.target import Target

_SIZE = 192
_BEATS = 7
# A beat is long against what waking a thread takes, and seven of them are short against a trial.
_BEAT_SECS = 0.002


def pulse(target: Target) -> float:
    """Seconds of one call of the kernel: the median of seven beats of about 2 ms."""
    kernel, number = _kernel(target)
    kernel(number)
    return statistics.median(kernel(number) for _ in range(_BEATS))


@cache
def _kernel(target: Target) -> tuple[Callable[[int], float], int]:
    # Compiled into this process: no file, no linker, and the same machine code each time.
    module = tvm.tirx.build(parallel_matmul(target, _SIZE).schedule.mod, target=tvm_target(target))
    function = module["main"]
    rng = np.random.default_rng(0)
    arrays = [tvm.runtime.tensor(rng.random((_SIZE, _SIZE), np.float32)) for _ in range(3)]

    def run(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            function(*arrays)
        return (time.perf_counter() - started) / number

    run(1)
    return run, max(1, round(_BEAT_SECS / run(20)))
