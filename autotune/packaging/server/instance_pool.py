"""Instances of a model, each in a thread of its own, and the bounded queue of requests before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .faults import RequestFault
from .metrics import Metrics
from .signature import Array, Model


@dataclass(frozen=True, eq=False)
class _Job:
    inputs: tuple[Array, ...]
    outputs: asyncio.Future[tuple[Array, ...]]
    queued_at: float


@dataclass(frozen=True, eq=False)
class _Instance:
    model: Model
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "instance"))

    def run(self, inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], float]:
        """The outputs, and the seconds that they took."""
        started = time.perf_counter()
        found = self.model.run(*inputs)
        return (found if isinstance(found, tuple) else (found,)), time.perf_counter() - started


class InstancePool:
    """Runs requests in their order, one at a time in each instance; used in one event loop.

    models: the instances; queue: the most requests that wait for one.
    """

    def __init__(self, models: Sequence[Model], queue: int, metrics: Metrics) -> None:
        self._instances = tuple(map(_Instance, models))
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(queue)
        self._metrics = metrics
        self._runs: set[Future[tuple[tuple[Array, ...], float]]] = set()
        metrics.watch("queue_length", "Requests that wait for an instance", self._jobs.qsize)
        metrics.watch("instances_busy", "Instances that run a request", lambda: len(self._runs))
        metrics.watch("instances", "Instances of the model", lambda: len(self._instances))

    @property
    def is_busy(self) -> bool:
        """Whether an instance runs a request."""
        return not all(run.done() for run in self._runs)

    def warm_up(self, inputs: tuple[Array, ...]) -> None:
        """Runs each instance once, which starts its kernel threads. Raises what the model raises."""
        for instance in self._instances:
            instance.executor.submit(instance.run, inputs).result()

    async def run(self, inputs: tuple[Array, ...], deadline: float) -> tuple[Array, ...]:
        """The outputs for inputs.

        deadline: in the event loop's time. Raises RequestFault where the queue is full or the deadline passes, and
        what the model raises. A run that has begun is not cut off; its instance is busy until it ends.
        """
        loop = asyncio.get_running_loop()
        job = _Job(inputs, loop.create_future(), time.perf_counter())
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            again = {"Retry-After": "1"}
            raise RequestFault(
                503, "expected room in the queue; found it full, try again later", again
            ) from None
        try:
            async with asyncio.timeout_at(deadline):
                return await job.outputs
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
            job = await self._jobs.get()
            if job.outputs.done():  # its time was over, or its client has gone
                continue
            self._metrics.queue_secs.observe(time.perf_counter() - job.queued_at)
            run = instance.executor.submit(instance.run, job.inputs)
            self._runs.add(run)
            try:
                outputs, secs = await asyncio.wrap_future(run)
            except Exception as error:  # noqa: BLE001 - the request that asked for the run gets it
                if not job.outputs.done():
                    job.outputs.set_exception(error)
            else:
                self._metrics.compute_secs.observe(secs)
                if not job.outputs.done():
                    job.outputs.set_result(outputs)
            # One that is cut off stays.
            self._runs.remove(run)
