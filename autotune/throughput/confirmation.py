"""Open-loop runs of setups: bisection for the load that meets a limit, and loads that surely hold it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from autotune.throughput.arrivals import poisson_arrivals
from autotune.throughput.bisection import Bracket, largest_holding
from autotune.throughput.load_point import LoadPoint, Offered, load_point
from autotune.throughput.load_run import StopRule
from autotune.throughput.prediction import TAIL, Prediction
from autotune.throughput.quantiles import least_requests
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup
from autotune.throughput.target import Target

# Of one load; as soon as most of them agree there are no more.
_MOST_RUNS = 3
# Loads by the one whose percentile is at the limit, tried until the interval of one is within the limit: on a machine
# that does other work as well, the load that holds for sure may be a small part of the one that met the limit once.
_SURE = (0.95, 0.85, 0.7, 0.5, 0.3, 0.15)
# Of the time that is left, for one run; longer where it would have too few requests.
_PART = 0.5
# Requests of such a run by the fewest that bound the percentile: wanted, and without which there is none.
_WANTED, _LEAST = 1.4, 1.1
# The largest step to a load that is expected to meet the limit.
_FURTHEST = 2.0
# Requests of the shortest run, of which one may be over the limit.
_FEWEST = 150


@dataclass(frozen=True)
class RunSettings:
    """Settings of open-loop runs.

    run_secs: of one run, longer where it would have too few requests for a 99th percentile.
    """

    processors: int
    limit_secs: float
    wait_secs: float
    run_secs: float


@dataclass(frozen=True)
class Spare:
    """Seconds that are left for tests of loads. unmet: while the limit was met at none yet."""

    secs: Callable[[], float]
    unmet_secs: Callable[[], float]


@dataclass(eq=False)
class Confirmation:
    """Runs against a target, kept in the order in which they were made."""

    target: Target
    settings: RunSettings
    rng: np.random.Generator
    points: list[LoadPoint] = field(default_factory=list)

    def bracket(self, predicted: Prediction, guess_per_second: float, ratio: float, spare: Spare) -> Bracket:
        """The largest load that a setup meets the limit at, by bisection from a guess on, as far as the time allows.

        predicted: the setup's simulation, which says by measured percentiles how much further a load may be. One load
        is tested at least.
        """
        setup = predicted.setup
        if guess_per_second <= 0.0:
            return Bracket(0.0, None)
        load, before, left_secs = guess_per_second, len(self.points), spare.unmet_secs

        def has_time() -> bool:
            return len(self.points) == before or left_secs() > self.test_secs(load)

        def meets(per_second: float) -> bool:
            nonlocal load, left_secs
            load = per_second
            is_met = self.meets(setup, per_second)
            left_secs = spare.secs if is_met else left_secs
            return is_met

        def further(per_second: float) -> float:
            tails = [
                one.p99.secs
                for one in self.points[before:]
                if one.offered_per_second == per_second and one.meets
            ]
            calibrated = predicted.calibrated(per_second, statistics.median(tails))
            expected = calibrated.capacity_per_second(self.settings.limit_secs)
            return min(expected, _FURTHEST * per_second)

        return largest_holding(meets, guess_per_second, ratio, has_time, further)

    def meets(self, setup: ServingSetup, per_second: float) -> bool:
        """Whether the median run of three at a load meets the limit: what disturbs one of them decides nothing."""
        found: list[bool] = []
        while max(found.count(True), found.count(False)) <= _MOST_RUNS // 2:
            found.append(self.run(setup, per_second).meets)
        return found[-1]

    def make_sure(
        self, setup: ServingSetup, expected_per_second: float, spare_secs: Callable[[], float]
    ) -> None:
        """Long runs below the load that meets the limit, down to a part of it, until one holds it for sure.

        A load that does not hold ends its run early, so that most of the time is left for the next.
        """
        for share in _SURE:
            load, spare = share * expected_per_second, spare_secs()
            fewest_secs = least_requests(TAIL) / load
            secs = min(max(_PART * spare, _WANTED * fewest_secs), spare)
            if secs < _LEAST * fewest_secs or self.run(setup, load, secs).holds:
                return

    def run(self, setup: ServingSetup, per_second: float, secs: float | None = None) -> LoadPoint:
        """One run at a load. secs: by default those of the settings."""
        settings = self.settings
        count = max(round(per_second * (secs or settings.run_secs)), _FEWEST)
        arrivals = poisson_arrivals(per_second, count, self.rng)
        rule = StopRule(settings.limit_secs, math.floor((1.0 - TAIL) * count))
        policy = BatchPolicy(setup.batch, settings.wait_secs)
        self.target.busy_elsewhere()
        found = self.target.offer(setup, arrivals, policy, rule)
        offered = Offered(setup, per_second, settings.limit_secs, self.target.busy_elsewhere())
        self.points.append(load_point(found, offered))
        return self.points[-1]

    def run_secs(self, per_second: float) -> float:
        """The seconds that a run of the default length takes."""
        return max(self.settings.run_secs, _FEWEST / per_second)

    def test_secs(self, per_second: float) -> float:
        """The seconds that `meets` takes where runs agree."""
        return (_MOST_RUNS // 2 + 1) * self.run_secs(per_second)

    def held_per_second(self, setup: ServingSetup, expected_per_second: float) -> float:
        """The largest load of a setup that held the limit for sure, up to the one that is expected; 0 where none did.

        A run that held a larger one was contradicted by others.
        """
        held = (one.offered_per_second for one in self.points if one.setup == setup and one.holds)
        return max((load for load in held if load <= expected_per_second), default=0.0)
