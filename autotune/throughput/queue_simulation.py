"""Simulation of a queue before several servers, with batches, general service times and any arrivals (M/G/k)."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np

from autotune.throughput.arrivals import Seconds
from autotune.throughput.serving_setup import BatchPolicy, claim

#: Draws a service time in seconds, of a batch size and the number of instances that are busy, this one included.
ServiceTime = Callable[[int, int], float]


def simulate(arrivals: Seconds, servers: int, policy: BatchPolicy, service_secs: ServiceTime) -> Seconds:
    """Latencies of all requests in seconds, from arrival to the end of their batch, first come first served."""
    times = arrivals.tolist()
    free = [0.0] * servers
    ends = np.empty(len(times))
    first = 0
    while first < len(times):
        batch = claim(times, first, free[0], policy)
        busy = 1 + sum(until > batch.start_secs for until in free[1:])
        end = batch.start_secs + service_secs(batch.count, busy)
        heapq.heapreplace(free, end)
        ends[first : first + batch.count] = end
        first += batch.count
    return ends - arrivals
