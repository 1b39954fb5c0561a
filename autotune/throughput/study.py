"""A capacity study: setups screened, the best confirmed under load, and the latency curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from autotune.throughput.bisection import Bracket
from autotune.throughput.confirmation import Confirmation, RunSettings, Spare
from autotune.throughput.load_point import LoadPoint, is_disturbed
from autotune.throughput.prediction import Prediction
from autotune.throughput.screening import Screened, Screening, SearchSettings
from autotune.throughput.server_target import ServerTarget
from autotune.throughput.service_times import ServiceTimes
from autotune.throughput.serving_setup import ServingSetup
from autotune.throughput.target import Target

# Setups are screened by calls, then as they are served, by these parts of the time; at least so much is left for runs.
_SCREENED, _SERVED, _LEAST_FOR_RUNS = 0.25, 0.35, 0.5
# Parts of the rest at whose ends the best setup's load is found, that of one request after the other is found, and it
# is sure that a load holds; what is left is for the curve.
_FOUND, _COMPARED, _SURE = 0.4, 0.5, 0.92
# So many runs fit into the time.
_RUNS = 45
# Limits that a run lasts: a queue that grows by a twentieth of the load is over the limit then.
_LIMITS = 20
_CALL_SHARE, _LEAST_CALL_SECS = 0.004, 0.05
# Loads that meet the limit and that do not are as close as that, of the best setup and of the one to compare with.
_RATIO, _COARSE_RATIO = 1.04, 1.08
# Part of the time until which a setup that met the limit at no load yet is tried at smaller ones.
_MET = 0.7
# A challenger is tried where this much of the best setup's load is expected of it, at a little more than that load.
_CHALLENGE, _BETTER = 0.9, 1.03
_MOST_CHALLENGERS = 2
_CURVE = (0.75, 0.5, 0.25)
# A server's latencies vary more than calls.
_SERVER_CALLS = 3


@dataclass(frozen=True)
class StudySettings:
    """Settings of a study. time_secs: all of it; wait_secs: for batches to fill; seed: of arrivals and draws."""

    limit_secs: float
    time_secs: float
    processors: int
    wait_secs: float = 0.0
    seed: int = 0

    @property
    def call_secs(self) -> float:
        """Seconds of timing one batch size of one setup."""
        return max(_CALL_SHARE * self.time_secs, _LEAST_CALL_SECS)


@dataclass(frozen=True)
class Findings:
    """Findings of a study.

    best: the setup that meets the limit at the largest load; bracket: of the loads that meet the limit and do not;
    held_per_second: the largest load that held it for sure; baseline: one request after the other;
    runs: all, in their order.
    """

    best: ServingSetup
    bracket: Bracket
    held_per_second: float
    baseline: ServingSetup
    baseline_bracket: Bracket
    runs: tuple[LoadPoint, ...]
    screened: tuple[Screened, ...]

    @property
    def curve(self) -> tuple[LoadPoint, ...]:
        """The runs of the best setup by offered load; of several at one load the last."""
        found = {one.offered_per_second: one for one in self.runs if one.setup == self.best}
        return tuple(found[load] for load in sorted(found))

    @property
    def predicted_per_second(self) -> float:
        """The load that the simulation expects the best setup to meet the limit at."""
        return max(
            (one.predicted_per_second or 0.0 for one in self.screened if one.setup == self.best), default=0.0
        )


def study(target: Target, settings: StudySettings, tell: Callable[[str], None]) -> Findings:
    """Searches the setups of a target for the one that meets the limit at the largest load.

    tell: receives a line for each step. Raises AutotuneError where the target fails.
    """
    clock = _Clock(settings.time_secs)
    search = SearchSettings(
        settings.processors,
        target.sizes,
        settings.limit_secs,
        settings.wait_secs,
        settings.call_secs,
        settings.seed,
    )
    screening = Screening(target, search)
    screening.search(lambda: clock.left(_SCREENED) > 0)
    screened = screening.served(lambda: clock.left(_SERVED) > 0)
    for one in screened[: _MOST_CHALLENGERS + 1]:
        tell(f"expected of {one.setup}: {one.predicted_per_second or 0.0:.0f} requests a second")
    runs = _Runs(target, settings, clock.rest(_LEAST_FOR_RUNS), tell, screening.prediction)
    baseline = next(one for one in screened if one.setup == search.one_after_the_other)
    best, bracket = runs.best(screened)
    alone = bracket if best == baseline.setup else runs.bracket(baseline, _COARSE_RATIO, _COMPARED)
    if alone.holds_per_second > bracket.holds_per_second:
        best, bracket = baseline.setup, alone
    bracket, held = runs.end(best, bracket)
    return Findings(best, bracket, held, baseline.setup, alone, tuple(runs.points), screened)


def study_server(target: ServerTarget, settings: StudySettings, tell: Callable[[str], None]) -> Findings:
    """Finds the largest load at which a running server meets the limit.

    The number of requests that it works on at once is found closed loop, and stands for instances. Raises
    AutotuneError where the server fails.
    """
    clock = _Clock(settings.time_secs)
    by_connections = target.find_servers(_SERVER_CALLS * settings.call_secs)
    servers = max(by_connections, key=lambda count: count / float(np.mean(by_connections[count])))
    setup = ServingSetup(servers, 1)
    times = ServiceTimes({(1, count, 1): secs for count, secs in by_connections.items()})
    simulation = Prediction(times, setup, 0.0, settings.seed)
    predicted = simulation.capacity_per_second(settings.limit_secs)
    tell(f"expected of the server, with {servers} requests at once: {predicted:.0f} requests a second")
    screened = Screened(setup, times.saturated_per_second(setup), predicted)
    runs = _Runs(target, settings, clock.rest(_LEAST_FOR_RUNS), tell, lambda _: simulation)
    bracket = runs.bracket(screened, _RATIO, _COMPARED)
    bracket, held = runs.end(setup, bracket)
    return Findings(setup, bracket, held, setup, bracket, tuple(runs.points), (screened,))


class _Runs:
    """The runs of a study, each within its part of the time."""

    def __init__(
        self,
        target: Target,
        settings: StudySettings,
        clock: _Clock,
        tell: Callable[[str], None],
        predict: Callable[[ServingSetup], Prediction],
    ) -> None:
        self._clock, self._tell, self._predict = clock, tell, predict
        run_secs = max(settings.time_secs / _RUNS, _LIMITS * settings.limit_secs)
        runs = RunSettings(settings.processors, settings.limit_secs, settings.wait_secs, run_secs)
        self._confirmation = Confirmation(target, runs, np.random.default_rng(settings.seed))

    @property
    def points(self) -> list[LoadPoint]:
        """All runs, in their order."""
        return self._confirmation.points

    def bracket(self, screened: Screened, ratio: float, until: float) -> Bracket:
        """The load of a setup that meets the limit, from the load that is expected of it."""
        found = self._confirmation.bracket(
            self._predict(screened.setup),
            screened.guess_per_second,
            ratio,
            Spare(lambda: self._clock.left(until), lambda: self._clock.left(max(until, _MET))),
        )
        self._tell(f"{screened.setup} meets the limit at {found.holds_per_second:.0f} requests a second")
        return found

    def best(self, screened: Sequence[Screened]) -> tuple[ServingSetup, Bracket]:
        """The setup that meets the limit at the largest load, of those from which most is expected."""
        first, *others = screened
        best, bracket = first.setup, self.bracket(first, _RATIO, _FOUND)
        for one in others[:_MOST_CHALLENGERS]:
            load = bracket.holds_per_second * _BETTER
            if load == 0.0 or one.guess_per_second < _CHALLENGE * bracket.holds_per_second:
                break
            if self._clock.left(_FOUND) > self._confirmation.test_secs(load) and self._confirmation.meets(
                one.setup, load
            ):
                better = msgspec.structs.replace(one, predicted_per_second=load * _BETTER)
                found = self.bracket(better, _RATIO, _FOUND)
                best = one.setup
                bracket = Bracket(max(found.holds_per_second, load), found.fails_per_second)
        return best, bracket

    def end(self, best: ServingSetup, bracket: Bracket) -> tuple[Bracket, float]:
        """Makes sure that a load holds, and draws the curve; the bracket by these runs as well, and that load."""
        # Where short runs met the limit at no load, long ones at smaller loads may.
        expected = bracket.holds_per_second or bracket.fails_per_second or 0.0
        longer: dict[float, bool] = {}
        if expected > 0.0:
            before = len(self.points)
            self._confirmation.make_sure(best, expected, lambda: self._clock.left(_SURE))
            longer = self._outcomes(self.points[before:])
            for share in _CURVE:
                load = share * expected
                if self._clock.left(1.0) > self._confirmation.run_secs(load):
                    self._confirmation.run(best, load)
        shorter = self._outcomes([one for one in self.points if one.setup == best])
        refined = bracket.refined(longer, shorter)
        return refined, self._confirmation.held_per_second(best, refined.holds_per_second)

    def _outcomes(self, points: Iterable[LoadPoint]) -> dict[float, bool]:
        """The verdicts of runs that were not disturbed, by their load."""
        settings = self._confirmation.settings
        return {
            one.offered_per_second: one.meets
            for one in points
            if one.meets or not is_disturbed(one, settings.limit_secs, settings.processors)
        }


class _Clock:
    def __init__(self, secs: float) -> None:
        self._started, self._secs = time.monotonic(), secs

    def rest(self, least: float) -> _Clock:
        """A clock for the time that is left, or for a part of the time at least."""
        return _Clock(max(self.left(1.0), least * self._secs))

    def left(self, until: float) -> float:
        """Seconds until a part of the time has passed."""
        return self._started + until * self._secs - time.monotonic()
