"""Pools of worker processes that need next to nothing, for tests of what becomes of them."""

from __future__ import annotations

import os

from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call

GIB = 1 << 30
PID = Call(os.getpid)


def pool_of(
    count: int, environment: dict[str, str] | None = None, memory_bytes: int = GIB, module: str = "os"
) -> WorkerPool:
    return WorkerPool(count, WorkerNeeds(module, environment or {}), memory_bytes, recycle_bytes=GIB)
