"""A target of loads whose capacity follows from its service times; its runs take no time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autotune.throughput.arrivals import Seconds
from autotune.throughput.load_run import End, LoadRun, StopRule
from autotune.throughput.queue_simulation import simulate
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup


@dataclass(eq=False)
class SimulatedTarget:
    """Calls of 4 ms at one thread, 2.5 at two; four requests in a call take 1.5 times as long; two processors.

    stalls: the runs, from 0 on, in which nothing is answered for two limits.
    """

    sizes: tuple[int, ...] = (1, 4)
    stalls: tuple[int, ...] = ()
    offered: list[float] = field(default_factory=list)
    timed: list[ServingSetup] = field(default_factory=list)

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """Constant service times."""
        self.timed.append(setup)
        return np.full(8, self._call_secs(setup, setup.batch, setup.instances))

    def served_per_second(self, _setup: ServingSetup, _secs: float) -> float | None:
        """As calls."""
        return None

    def offer(self, setup: ServingSetup, arrivals: Seconds, policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """Simulates the run."""
        self.offered.append(len(arrivals) / arrivals[-1])
        found = simulate(
            arrivals, setup.instances, policy, lambda count, busy: self._call_secs(setup, count, busy)
        )
        if len(self.offered) - 1 in self.stalls:
            found[: len(found) // 10] += 2 * rule.limit_secs
        over = int(np.sum(found > rule.limit_secs))
        end = End.EXCEEDED if over > rule.most_over else End.FINISHED
        return LoadRun(found, np.zeros(1), len(found), float(arrivals[-1]), 0.0, end)

    def busy_elsewhere(self) -> float:
        """None."""
        return 0.0

    def _call_secs(self, setup: ServingSetup, count: int, busy: int) -> float:
        alone = {1: 0.004, 2: 0.0025}[setup.threads] * (1.0 if count == 1 else 1.5)
        return alone * max(busy * setup.threads / 2, 1.0)
