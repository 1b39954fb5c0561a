"""The load that a serving setup is expected to hold, by simulation from measured service times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from autotune.throughput.arrivals import Seconds, poisson_arrivals
from autotune.throughput.bisection import largest_holding
from autotune.throughput.queue_simulation import simulate
from autotune.throughput.service_times import ServiceTimes
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup

#: Of latencies that a service-level agreement limits.
TAIL = 0.99
_REQUESTS = 4000
# Close enough to place a load that is measured then.
_RATIO = 1.02
# Slowdowns that explain a measured percentile, and the halvings that find one.
_SLOWDOWNS, _HALVINGS = (0.25, 4.0), 9
# A queue is never stable above the rate of the busiest servers.
_STEPS = 30


@dataclass(frozen=True)
class Prediction:
    """Simulates a setup at any load, with the same random numbers each time.

    slowdown: of service times beside the measured ones, as by the load generator.
    """

    times: ServiceTimes
    setup: ServingSetup
    wait_secs: float
    seed: int
    slowdown: float = 1.0

    def latencies(self, per_second: float) -> Seconds:
        """Latencies in seconds of some thousand requests at a load."""
        rng = np.random.default_rng(self.seed)
        arrivals = poisson_arrivals(per_second, _REQUESTS, rng)
        draw, slowdown = self.times.sampler(self.setup, rng), self.slowdown
        policy = BatchPolicy(self.setup.batch, self.wait_secs)
        return simulate(
            arrivals, self.setup.instances, policy, lambda count, busy: slowdown * draw(count, busy)
        )

    def calibrated(self, per_second: float, tail_secs: float) -> Prediction:
        """The simulation with the slowdown of service times at which a load has a measured 99th percentile."""
        low, high = _SLOWDOWNS
        for _ in range(_HALVINGS):
            middle = replace(self, slowdown=(low * high) ** 0.5)
            if float(np.quantile(middle.latencies(per_second), TAIL)) < tail_secs:
                low = middle.slowdown
            else:
                high = middle.slowdown
        return replace(self, slowdown=low)

    def capacity_per_second(self, limit_secs: float) -> float:
        """The largest load at which the 99th percentile is within the limit; 0 where no load has that.

        Beyond saturation the queue grows for ever, which some thousand requests of a fast model do not show.
        """

        def holds(per_second: float) -> bool:
            return per_second < most and float(np.quantile(self.latencies(per_second), TAIL)) <= limit_secs

        most = self.times.saturated_per_second(self.setup) / self.slowdown
        found = largest_holding(holds, most * 0.8, _RATIO, steps(_STEPS))
        return found.holds_per_second


def steps(count: int) -> Callable[[], bool]:
    """True so many times."""
    left = iter(range(count))
    return lambda: next(left, None) is not None
