"""Queue of requests that wait for an instance, first come first served, used in one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from .batching import Arrays, Batching


@dataclass(frozen=True, eq=False)
class Waiting:
    """A request that waits. queued_at: by `time.perf_counter`."""

    inputs: Arrays
    outputs: asyncio.Future[Arrays]
    queued_at: float


class RequestQueue:
    """A bounded queue. most: the requests that wait at most."""

    def __init__(self, most: int, batching: Batching) -> None:
        self._most, self._batching = most, batching
        self._waiting: deque[Waiting] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Waiting) -> bool:
        """Appends a request; False where there is no room."""
        if len(self._waiting) >= self._most:
            return False
        self._waiting.append(request)
        self._filled.set()
        return True

    async def take(self) -> list[Waiting]:
        """The next requests that one run answers, one at least; those whose time is over are left out."""
        batch: list[Waiting] = []
        while not batch:
            while not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            while self._waiting and self._joins(batch):
                one = self._waiting.popleft()
                if not one.outputs.done():  # its time was over, or its client has gone
                    batch.append(one)
        return batch

    def _joins(self, batch: list[Waiting]) -> bool:
        return not batch or self._batching.takes([one.inputs for one in batch], self._waiting[0].inputs)
