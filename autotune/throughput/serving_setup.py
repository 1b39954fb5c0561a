"""Ways to serve a model: instances, kernel threads of each, and the largest batch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec


class ServingSetup(msgspec.Struct, frozen=True, order=True):
    """Instances of a model, each with so many kernel threads, that share one queue of requests.

    batch: the most requests that an instance takes in one call.
    """

    instances: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        plural = "" if self.instances == 1 else "s"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.instances} instance{plural} × {threads}, batch {self.batch}"


class BatchPolicy(msgspec.Struct, frozen=True):
    """Rule by which an instance that is free forms a batch: when it is full, or the first request has waited so long.

    With a wait of 0 an instance takes what is in the queue at once.
    """

    most: int = 1
    wait_secs: float = 0.0


class Claim(msgspec.Struct, frozen=True):
    """A batch: the number of requests in it, and the time at which its call starts, in seconds."""

    count: int
    start_secs: float


def claim(arrivals: Sequence[float], first: int, free_secs: float, policy: BatchPolicy) -> Claim:
    """The batch of an instance that is free from a time on and takes the requests from `first` on, in order.

    arrivals: of all requests in seconds, ascending, the future ones included: a batch that waits is known beforehand.
    """
    ready = max(free_secs, arrivals[first])
    last = min(first + policy.most, len(arrivals))
    until = max(ready, arrivals[first] + policy.wait_secs)
    count = bisect_right(arrivals, until, first, last) - first
    is_full = count == last - first
    return Claim(count, max(ready, arrivals[first + count - 1]) if is_full else until)
