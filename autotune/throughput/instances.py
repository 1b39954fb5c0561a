"""Instances of a built model in a worker process: clones that share the weights, each called in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.deployment.engine import draw
from autotune.deployment.executable import load
from autotune.deployment.kernel_pool import CallPlace
from autotune.models.onnx_file import InputSpec
from autotune.throughput.arrivals import Seconds
from autotune.throughput.load_run import LoadRun, StopRule, offer_load
from autotune.throughput.service_times import size_for
from autotune.throughput.serving_setup import BatchPolicy

Array = npt.NDArray[Any]
_WARM_CALLS = 3
_LEAST_CALLS = 4


@dataclass(frozen=True)
class ServedModel:
    """A model as it is served.

    libraries: for each batch size that is built, ascending, the library that computes it;
    inputs:    of one request.
    """

    libraries: tuple[tuple[int, Path], ...]
    inputs: tuple[InputSpec, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that are built."""
        return tuple(size for size, _ in self.libraries)


@dataclass(frozen=True)
class Instance:
    """One instance: its thread, and the model for each batch size."""

    executor: Executor
    models: dict[int, Any]
    rows: tuple[Array, ...]

    def call(self, requests: int) -> bool:
        """One call for so many requests, whose inputs are put together and filled up to a size that is built."""
        size = size_for(list(self.models), requests)
        rows = self.rows if size == 1 else [np.concatenate([row] * size) for row in self.rows]
        self.models[size](*rows)
        return True

    def timed_calls(self, size: int, secs: float, together: Barrier) -> list[float]:
        """Durations in seconds of calls of one batch size, for so long, from when all instances are warm."""
        for _ in range(_WARM_CALLS):
            self.call(size)
        together.wait()
        found: list[float] = []
        until = time.perf_counter() + secs
        while (now := time.perf_counter()) < until or len(found) < _LEAST_CALLS:
            self.call(size)
            found.append(time.perf_counter() - now)
        return found


@cache
def opened(model: ServedModel, instances: int, threads: int, seed: int) -> tuple[Instance, ...]:
    """The instances of this process, which has them for good: TVM's threads cannot be given back."""
    files = {
        path: load(path, threads=threads, place=CallPlace.CALLING_THREAD)
        for path in dict.fromkeys(path for _, path in model.libraries)
    }
    rows = tuple(draw(model.inputs, seed))
    return tuple(
        Instance(ThreadPoolExecutor(1), {size: files[path].clone() for size, path in model.libraries}, rows)
        for _ in range(instances)
    )


def saturated_secs(
    model: ServedModel, instances: int, threads: int, timing: tuple[int, float, int]
) -> Seconds:
    """Durations of calls, ascending, while all instances are busy; timing: the batch size, seconds, and the seed."""
    size, secs, seed = timing
    found = opened(model, instances, threads, seed)
    together = Barrier(len(found))
    futures = [one.executor.submit(partial(one.timed_calls, size, secs, together)) for one in found]
    return np.sort(np.concatenate([np.array(future.result()) for future in futures]))


def load_on(instances: Sequence[Instance], arrivals: Seconds, policy: BatchPolicy, rule: StopRule) -> LoadRun:
    """Offers a load to instances, which are warm."""
    return offer_load([(one.executor, one.call) for one in instances], arrivals, policy, rule)


def loaded(
    model: ServedModel, instances: int, threads: int, schedule: tuple[Seconds, BatchPolicy, StopRule, int]
) -> LoadRun:
    """Offers a load to the instances of this process; schedule: arrivals, how batches form, when to stop, the seed."""
    arrivals, policy, rule, seed = schedule
    found = opened(model, instances, threads, seed)
    together = Barrier(len(found))
    for size in model.sizes:
        if size <= policy.most:
            warm = [one.executor.submit(partial(one.timed_calls, size, 0.0, together)) for one in found]
            for each in warm:
                each.result()
    return load_on(found, arrivals, policy, rule)
