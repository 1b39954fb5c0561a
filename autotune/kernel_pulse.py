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

from autotune.parallel_matmul import parallel_matmul, serial_matmul
from search_spaces.modules import tvm_target
from search_spaces.target import Target

_SIZE = 192
_BEATS = 7
# A beat is long against what waking a thread takes, and seven of them are short against a trial.
_BEAT_SECS = 0.002

_Beat = Callable[[], float]


def pulse(target: Target) -> float:
    """Seconds of one call of the kernel on all threads: the median of seven beats of about 2 ms."""
    beat = _beat(target, parallel_matmul)
    beat()
    return statistics.median(beat() for _ in range(_BEATS))


def thread_speedup(target: Target) -> float:
    """How many times faster the kernel is on all threads than on one, each at its fastest."""
    alone, together = _beat(target, serial_matmul), _beat(target, parallel_matmul)
    pairs = [(alone(), together()) for _ in range(2 * _BEATS)]
    return min(secs for secs, _ in pairs) / min(secs for _, secs in pairs)


@cache
def _beat(target: Target, kernel: Callable[[int], tvm.IRModule]) -> _Beat:
    # Compiled into this process: no file, no linker, and the same machine code each time.
    function = tvm.tirx.build(kernel(_SIZE), target=tvm_target(target))["main"]
    rng = np.random.default_rng(0)
    arrays = [tvm.runtime.tensor(rng.random((_SIZE, _SIZE), np.float32)) for _ in range(3)]

    def run(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            function(*arrays)
        return (time.perf_counter() - started) / number

    run(1)
    number = max(1, round(_BEAT_SECS / run(20)))
    return lambda: run(number)
