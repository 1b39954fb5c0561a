"""Load on callers at scheduled times, open loop: what is late starts late, and its latency counts from the schedule."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from autotune.throughput.arrivals import Seconds
from autotune.throughput.serving_setup import BatchPolicy, claim

#: Makes one call for so many requests; False where they were refused.
Caller = Callable[[int], bool]
# Requests in a row that all waited longer than the limit are a standing queue, as CoDel tells it (RFC 8289).
_STANDING = 50
_HEAD_START_SECS = 0.02


class End(Enum):
    """The reason for which a run ended."""

    FINISHED = "finished"
    EXCEEDED = "too many requests over the limit"
    OVERLOADED = "the queue grew"


@dataclass(frozen=True, slots=True)
class StopRule:
    """A run ends as soon as it is lost: a standing queue, or more than `most_over` requests over the limit."""

    limit_secs: float
    most_over: int


@dataclass(frozen=True)
class LoadRun:
    """Outcome of a run.

    latencies: in seconds, of requests that were answered, in the order of arrival; infinite where refused;
    late_secs: of each request that was not waited for by a busy caller, how long after its time it was sent;
    overhead_secs: time that a caller spends between two calls, awake, the mean;
    generator_share: processor time by wall time of a process that does nothing but call others, else 0.
    """

    latencies: Seconds
    late_secs: Seconds
    calls: int
    secs: float
    overhead_secs: float
    end: End
    generator_share: float = 0.0

    @property
    def mean_batch(self) -> float:
        """Requests of one call."""
        return len(self.latencies) / max(self.calls, 1)


def offer_load(
    callers: Sequence[tuple[Executor, Caller]], arrivals: Seconds, policy: BatchPolicy, rule: StopRule
) -> LoadRun:
    """Sends requests by callers at their times, each caller in its thread; raises what a caller raises.

    There is no thread that generates load: a caller that is free takes the next requests of the schedule, and sleeps
    until they arrive.
    """
    load = _Load(arrivals.tolist(), policy, rule)
    with _without_collections():
        load.start_secs = time.perf_counter() + _HEAD_START_SECS
        running: list[Future[None]] = [executor.submit(load.work, caller) for executor, caller in callers]
        try:
            for each in running:
                each.result()
        finally:
            load.end = load.end or End.FINISHED
        secs = time.perf_counter() - load.start_secs
    latencies = np.array(load.latencies)
    answered = latencies[~np.isnan(latencies)]
    return LoadRun(
        answered,
        np.array(load.late_secs),
        load.calls,
        secs,
        load.overhead_secs / max(load.calls, 1),
        load.end,
    )


@dataclass(eq=False)
class _Load:
    arrivals: list[float]
    policy: BatchPolicy
    rule: StopRule
    start_secs: float = 0.0
    end: End | None = None
    calls: int = 0
    overhead_secs: float = 0.0
    late_secs: list[float] = field(default_factory=list)
    latencies: list[float] = field(init=False)
    _next: int = 0
    _over: int = 0
    _standing: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.latencies = [float("nan")] * len(self.arrivals)

    def work(self, caller: Caller) -> None:
        """Takes requests until there are none or the run has ended."""
        while (batch := self._claim()) is not None:
            first, count = batch
            try:
                is_answered = caller(count)
            except BaseException:
                self.end = End.OVERLOADED
                raise
            self._note(first, count, 0.0 if is_answered else math.inf)

    def _claim(self) -> tuple[int, int] | None:
        """Takes the next requests, and waits until their call is due: the first one and their number."""
        with self._lock:
            first, now = self._next, time.perf_counter() - self.start_secs
            if first == len(self.arrivals) or self.end is not None:
                return None
            batch = claim(self.arrivals, first, now, self.policy)
            self._next = first + batch.count
            self._judge_wait(now - self.arrivals[first])
            ready = time.perf_counter() - self.start_secs
            self.overhead_secs += ready - now
        if batch.start_secs > ready:
            time.sleep(batch.start_secs - ready)
            self.late_secs.append(time.perf_counter() - self.start_secs - batch.start_secs)
        return None if self.end is not None else (first, batch.count)

    def _judge_wait(self, waited_secs: float) -> None:
        self._standing = self._standing + 1 if waited_secs > self.rule.limit_secs else 0
        if self._standing >= _STANDING:
            self.end = End.OVERLOADED

    def _note(self, first: int, count: int, more_secs: float) -> None:
        now = time.perf_counter() - self.start_secs
        over = 0
        for number in range(first, first + count):
            secs = self.latencies[number] = now - self.arrivals[number] + more_secs
            over += secs > self.rule.limit_secs
        with self._lock:
            self.calls += 1
            self._over += over
            if self._over > self.rule.most_over and self.end is None:
                self.end = End.EXCEEDED
            self.overhead_secs += time.perf_counter() - self.start_secs - now


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keeps the garbage collector from stopping all callers."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
