"""Timing several programs fairly: runs that fit into a time slice, and slices that alternate."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)
Sample = TypeVar("Sample")


def timed_runs(run: Callable[[], object], secs: float) -> list[float]:
    """Latencies in seconds, one a run: as many runs as fit into `secs`, at least one.

    One run before them wakes the threads and warms the caches.
    """
    run()
    latencies: list[float] = []
    while not latencies or sum(latencies) + latencies[-1] < secs:
        started = time.perf_counter()
        run()
        latencies.append(time.perf_counter() - started)
    return latencies


def in_turns(
    sides: Mapping[Side, Callable[[], Sample]], has_next_round: Callable[[int], bool]
) -> dict[Side, list[Sample]]:
    """Samples of every side, one a round, for as long as `has_next_round` of the rounds done.

    The order rotates from round to round, so that neither a drift of the machine nor a fixed predecessor favours
    a side.
    """
    samples: dict[Side, list[Sample]] = {side: [] for side in sides}
    names = list(sides)
    rounds = 0
    while has_next_round(rounds):
        first = rounds % max(len(names), 1)
        for side in names[first:] + names[:first]:
            samples[side].append(sides[side]())
        rounds += 1
    return samples
