"""TVM's pool of kernel threads, sized for a model whatever thread calls it; TVM's runtime has to be loaded."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import tvm_ffi

from autotune.deployment.kernel_thread import KernelThread, idle_threads, new_thread
from autotune.machine.control_groups import group_limits

T = TypeVar("T")

# TVM's affinity mode in which all threads share the processors that are listed.
_SHARED_PROCESSORS = -3
_TASKS = Path("/proc/self/task")
#: TVM has a pool for each thread that calls kernels; this is the size that it was given.
_here = threading.local()


class CallPlace(Enum):
    """The thread in which a model's kernels are called.

    KERNEL_THREAD:  in a thread of the model's own, which takes some 40 microseconds a call;
    CALLING_THREAD: in the thread that calls the model, where it can have the kernel threads that it needs. Forked
                    children of such a process hang or crash when they end, unless by `os._exit`.
    """

    KERNEL_THREAD = "kernel thread"
    CALLING_THREAD = "calling thread"


@dataclass(frozen=True, eq=False)
class KernelPool:
    """Makes calls in which kernels run on so many threads, whatever TVM was told before; None leaves TVM's choice.

    TVM takes half of the processors and binds the calling thread to one, unless the environment said otherwise
    before it loaded. A pool of TVM's that was started with fewer threads cannot grow, lives as long as the process,
    even where the thread that it belongs to ends, and does not survive a fork. Hence the threads that calls are made
    in are kept for the next pool.
    """

    threads: int | None
    place: CallPlace

    def run(self, call: Callable[[], T]) -> T:
        """The result of the call; raises what it raises."""
        if self.place is CallPlace.CALLING_THREAD and self._is_ready():
            return call()
        return self._elsewhere.run(call)

    def _is_ready(self) -> bool:
        """Whether the calling thread's pool has as many threads; sizes it at the first call."""
        if self.threads is None:
            return True
        if getattr(_here, "threads", None) != self.threads:
            _resize(self.threads)
            _here.threads = self.threads
            _here.is_ready = int(tvm_ffi.get_global_func("runtime.NumThreads")()) >= self.threads
        return bool(_here.is_ready)

    @cached_property
    def _elsewhere(self) -> KernelThread:
        idle = idle_threads(self.threads)
        try:
            found = idle.pop()
        except IndexError:
            found = new_thread(partial(_resize, self.threads))
        weakref.finalize(self, idle.append, found).atexit = False
        return found


def usable_threads(wanted: int) -> int:
    """The number of threads, no more than this process has processors."""
    return max(min(wanted, len(_processors(wanted))), 1)


def threads_within_quota(wanted: int) -> int:
    """The number of threads, no more than the CPU quota of this process's control group pays for."""
    quota = group_limits().cpu_quota
    return wanted if quota is None else max(min(wanted, math.floor(quota)), 1)


def _resize(threads: int | None) -> None:
    if threads is not None:
        processors = [str(one) for one in _processors(threads)]
        tvm_ffi.get_global_func("runtime.config_threadpool")(_SHARED_PROCESSORS, threads, processors, threads)


def _processors(wanted: int) -> list[int]:
    """The processors of the calling thread; where TVM has bound it to fewer than wanted, those of all threads."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    own = os.sched_getaffinity(0)
    if len(own) >= wanted or not _TASKS.is_dir():
        return sorted(own)
    return sorted(own.union(*(os.sched_getaffinity(int(task.name)) for task in _TASKS.iterdir())))
