"""Instances of a model, each in a thread of its own, that answer the requests of a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .batching import Arrays, joined, parted
from .faults import RequestFault
from .metrics import Metrics
from .request_queue import RequestQueue, Waiting
from .signature import Model


@dataclass(frozen=True, eq=False)
class _Instance:
    model: Model
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "instance"))

    def run(self, batch: Sequence[Arrays]) -> tuple[list[Arrays], float]:
        """The outputs of each request of a batch, and the seconds that the run took."""
        started = time.perf_counter()
        found = self.model.run(*joined(batch))
        secs = time.perf_counter() - started
        return parted(found if isinstance(found, tuple) else (found,), batch), secs


class InstancePool:
    """Runs requests in their order, one batch at a time in each instance; used in one event loop."""

    def __init__(self, models: Sequence[Model], queue: RequestQueue, metrics: Metrics) -> None:
        self._instances = tuple(map(_Instance, models))
        self._queue = queue
        self._metrics = metrics
        self._runs: set[Future[tuple[list[Arrays], float]]] = set()
        metrics.watch("queue_length", "Requests that wait for an instance", lambda: len(queue))
        metrics.watch("instances_busy", "Instances that run a request", lambda: len(self._runs))
        metrics.watch("instances", "Instances of the model", lambda: len(self._instances))

    @property
    def is_busy(self) -> bool:
        """Whether an instance runs a request."""
        return not all(run.done() for run in self._runs)

    def warm_up(self, inputs: Arrays) -> None:
        """Runs each instance once, which starts its kernel threads. Raises what the model raises."""
        for instance in self._instances:
            instance.executor.submit(instance.run, [inputs]).result()

    async def run(self, inputs: Arrays, deadline: float) -> Arrays:
        """The outputs for inputs.

        deadline: in the event loop's time. Raises RequestFault where the queue is full or the deadline passes, and
        what the model raises. A run that has begun is not cut off; its instance is busy until it ends.
        """
        loop = asyncio.get_running_loop()
        request = Waiting(inputs, loop.create_future(), time.perf_counter())
        if not self._queue.put(request):
            again = {"Retry-After": "1"}
            raise RequestFault(503, "expected room in the queue; found it full, try again later", again)
        try:
            async with asyncio.timeout_at(deadline):
                return await request.outputs
        except TimeoutError:
            raise RequestFault(504, "expected outputs within the server's time limit; found none") from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A stretch of time in which requests are run."""
        tasks = [asyncio.create_task(self._serve(instance)) for instance in self._instances]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for instance in self._instances:
                instance.executor.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, instance: _Instance) -> None:
        while True:
            batch = await self._queue.take()
            now = time.perf_counter()
            for request in batch:
                self._metrics.queue_secs.observe(now - request.queued_at)
            error = await self._answer(instance, batch)
            if error is not None and len(batch) > 1:
                # One of them is to blame: each has a run of its own.
                for request in batch:
                    error = await self._answer(instance, [request])
                    _fail([request], error)
            else:
                _fail(batch, error)

    async def _answer(self, instance: _Instance, batch: Sequence[Waiting]) -> Exception | None:
        """Runs a batch and answers its requests; what the run raised."""
        run = instance.executor.submit(instance.run, [request.inputs for request in batch])
        self._runs.add(run)
        try:
            found, secs = await asyncio.wrap_future(run)
        except Exception as error:  # noqa: BLE001 - the requests that asked for the run get it
            return error
        else:
            self._metrics.compute_secs.observe(secs)
            self._metrics.batch_requests.observe(len(batch))
            for request, outputs in zip(batch, found, strict=True):
                if not request.outputs.done():
                    request.outputs.set_result(outputs)
            return None
        finally:
            if run.done():  # one that is cut off stays
                self._runs.discard(run)


def _fail(batch: Sequence[Waiting], error: Exception | None) -> None:
    for request in batch:
        if error is not None and not request.outputs.done():
            request.outputs.set_exception(error)
