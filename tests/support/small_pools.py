"""Pools of worker processes that need next to nothing, for tests of what becomes of them."""

from __future__ import annotations

import os

from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call

GIB = 1 << 30
PID = Call(os.getpid)


def pool_of(
    count: int, environment: dict[str, str] | None = None, memory_bytes: int = GIB, warm_up: Call = PID
) -> WorkerPool:
    return WorkerPool(count, warm_up, environment or {}, memory_bytes, recycle_bytes=GIB)
