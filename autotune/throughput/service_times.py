"""Service times: samples of what a call takes by kernel threads, busy instances and batch size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotune.throughput.arrivals import Seconds
from autotune.throughput.serving_setup import ServingSetup


def size_for(sizes: Sequence[int], count: int) -> int:
    """The smallest built batch size that holds so many requests; sizes: ascending, the last one holds them."""
    return sizes[bisect_left(sizes, count)]


@dataclass(frozen=True)
class ServiceTimes:
    """Samples of service times in seconds, measured with one instance after another call.

    by_place: of (threads, busy instances, batch size).
    """

    by_place: Mapping[tuple[int, int, int], Seconds]

    def saturated_per_second(self, setup: ServingSetup) -> float:
        """The requests a second that the instances complete where the queue is never empty, at the best batch size."""
        found = [
            setup.instances * size / float(np.mean(samples))
            for (threads, busy, size), samples in self.by_place.items()
            if threads == setup.threads and busy == setup.instances and size <= setup.batch
        ]
        return max(found, default=0.0)

    def sampler(self, setup: ServingSetup, rng: np.random.Generator) -> Callable[[int, int], float]:
        """Draws service times of a setup: samples of the nearest larger batch size that is built.

        Between one busy instance and all of them the time is interpolated.
        """
        sizes = sorted({size for threads, _, size in self.by_place if threads == setup.threads})
        alone = {size: self.by_place[setup.threads, 1, size] for size in sizes if size <= setup.batch}
        crowded = {size: self.by_place[setup.threads, setup.instances, size] for size in alone}
        built = sorted(alone)
        slots = max(setup.instances - 1, 1)

        def draw(count: int, busy: int) -> float:
            size = size_for(built, count)
            share, place = (busy - 1) / slots, rng.random()
            return (1 - share) * _at(alone[size], place) + share * _at(crowded[size], place)

        return draw


def _at(samples: Seconds, place: float) -> float:
    return float(samples[int(place * len(samples))])
