"""TVM's pool of kernel threads, sized for a model in whichever thread calls it (imports TVM)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import tvm

T = TypeVar("T")

# TVM's affinity mode in which all threads share the processors that are listed.
_SHARED_PROCESSORS = -3
_TASKS = Path("/proc/self/task")
#: TVM has a pool for each thread that calls kernels; this is the size that it was given.
_here = threading.local()


@dataclass(frozen=True, eq=False)
class KernelPool:
    """Makes calls in which kernels run on so many threads, whatever TVM was told before.

    TVM takes half of the processors and binds the calling thread to one, unless the environment said otherwise
    before it loaded. A pool that was started with fewer threads cannot grow: then calls are made in a thread that
    has a pool of its own.
    """

    threads: int

    def run(self, call: Callable[[], T]) -> T:
        """The result of the call; raises what it raises."""
        if self._is_ready():
            return call()
        return self._elsewhere.submit(call).result()

    def _is_ready(self) -> bool:
        """Whether the calling thread's pool has as many threads; sizes it at the first call."""
        if getattr(_here, "threads", None) != self.threads:
            _resize(self.threads)
            _here.threads = self.threads
            _here.is_ready = int(tvm.get_global_func("runtime.NumThreads")()) >= self.threads
        return bool(_here.is_ready)

    @cached_property
    def _elsewhere(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "autotune-kernels", _resize, (self.threads,))


def usable_threads(wanted: int) -> int:
    """The number of threads, no more than this process has processors."""
    return max(min(wanted, len(_processors(wanted))), 1)


def _resize(threads: int) -> None:
    processors = [str(one) for one in _processors(threads)]
    tvm.get_global_func("runtime.config_threadpool")(_SHARED_PROCESSORS, threads, processors, threads)


def _processors(wanted: int) -> list[int]:
    """The processors of the calling thread; where TVM has bound it to fewer than wanted, those of all threads."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    own = os.sched_getaffinity(0)
    if len(own) >= wanted or not _TASKS.is_dir():
        return sorted(own)
    return sorted(own.union(*(os.sched_getaffinity(int(task.name)) for task in _TASKS.iterdir())))
