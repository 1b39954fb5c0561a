"""Search over serving setups: service times measured closed loop, loads predicted by simulation (uses Optuna)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import optuna

from autotune.throughput.arrivals import Seconds
from autotune.throughput.prediction import Prediction
from autotune.throughput.service_times import ServiceTimes
from autotune.throughput.serving_setup import ServingSetup
from autotune.throughput.target import Target

# Setups beyond which they are sampled, not all tried.
_MOST_TRIED = 64
_MOST_SAMPLED = 400
# Setups that are predicted as they are served, beside one request after the other, and the time by that of calls.
_MOST_SERVED = 4
_SERVED_CALLS = 3
# Of the saturated rate: no run starts from less.
_LEAST_GUESS = 0.3
# Threads of all instances by processors.
_CROWDING = 2


class Screened(msgspec.Struct, frozen=True):
    """A setup of the search: the load in requests a second that it is expected to hold, None where it was pruned.

    saturated_per_second: the rate of all instances with a queue that is never empty, 0 where it was not measured;
    reason: why it was pruned;
    served_per_second: the saturated rate with all that stands before the instances, as HTTP; None where that is the
                       same, or was not measured.
    """

    setup: ServingSetup
    saturated_per_second: float
    predicted_per_second: float | None
    reason: str = ""
    served_per_second: float | None = None

    @property
    def guess_per_second(self) -> float:
        """A load to start runs from: the expected one, and no less than a part of the saturated rate.

        A few slow calls, as on a busy machine, make the simulation expect next to nothing; runs tell better.
        """
        if self.predicted_per_second is None:
            return 0.0
        saturated = self.served_per_second or self.saturated_per_second
        return max(self.predicted_per_second, _LEAST_GUESS * saturated)


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    limit_secs: of the 99th percentile; wait_secs: for batches to fill; call_secs: of timing one batch size of a setup.
    """

    processors: int
    sizes: tuple[int, ...]
    limit_secs: float
    wait_secs: float
    call_secs: float
    seed: int

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Powers of two up to the processors, and these."""
        powers = {1 << power for power in range(self.processors.bit_length())}
        return tuple(sorted({each for each in powers if each <= self.processors} | {self.processors}))

    def most_instances(self, threads: int) -> int:
        """The most instances of so many threads."""
        return max(_CROWDING * self.processors // threads, 1)

    @property
    def one_after_the_other(self) -> ServingSetup:
        """One instance on all processors that takes one request after the other."""
        return ServingSetup(1, self.processors, 1)


@dataclass(eq=False)
class Screening:
    """Service times that are measured when they are first asked for, and setups screened by them."""

    target: Target
    settings: SearchSettings
    times: dict[tuple[int, int, int], Seconds] = field(default_factory=dict)
    found: dict[ServingSetup, Screened] = field(default_factory=dict)

    def search(self, can_go_on: Callable[[], bool]) -> tuple[Screened, ...]:
        """The screened setups, the most promising first; the first trial is one request after the other.

        Every setup is tried where they are few, else Optuna's TPE samples them.
        """
        sampler = optuna.samplers.TPESampler(seed=self.settings.seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        every = setups(self.settings)
        has_all = len(every) <= _MOST_TRIED
        for setup in every if has_all else every[:1]:
            study.enqueue_trial(msgspec.structs.asdict(setup))
        for _ in range(len(every) if has_all else _MOST_SAMPLED):
            self._try(study)
            if not can_go_on():
                break
        return _ranked(self.found)

    def served(self, can_go_on: Callable[[], bool]) -> tuple[Screened, ...]:
        """The screened setups, with the most promising and one request after the other predicted as they are served.

        What stands before the instances takes its share of the processors, so that calls are slower beside it.
        """
        baseline = self.settings.one_after_the_other
        first = [one.setup for one in _ranked(self.found) if one.guess_per_second][:_MOST_SERVED]
        served: list[ServingSetup] = []
        for setup in dict.fromkeys([*first[:1], baseline, *first[1:]]):
            if self.found[setup].saturated_per_second == 0.0:
                continue
            if not can_go_on() and len(served) > 1:
                break
            rate = self.target.served_per_second(setup, _SERVED_CALLS * self.settings.call_secs)
            if rate is None:
                return _ranked(self.found)
            served.append(setup)
            self.found[setup] = self._served(self.found[setup], rate)
        for setup, one in self.found.items():
            if setup not in served and one.predicted_per_second is not None:
                self.found[setup] = msgspec.structs.replace(
                    one, predicted_per_second=None, reason="others hold more, by calls alone"
                )
        return _ranked(self.found)

    def prediction(self, setup: ServingSetup, slowdown: float = 1.0) -> Prediction:
        """The simulation of a setup that was screened."""
        settings = self.settings
        return Prediction(ServiceTimes(self.times), setup, settings.wait_secs, settings.seed, slowdown)

    def _served(self, one: Screened, rate: float) -> Screened:
        slowdown = max(one.saturated_per_second / rate, 1.0)
        expected = self.prediction(one.setup, slowdown).capacity_per_second(self.settings.limit_secs)
        return msgspec.structs.replace(one, predicted_per_second=expected, served_per_second=rate)

    def _try(self, study: optuna.Study) -> None:
        trial = study.ask()
        setup = _suggested(trial, self.settings)
        best = max((one.predicted_per_second or 0.0 for one in self.found.values()), default=0.0)
        screened = self.found[setup] = self.found.get(setup) or self._screen(setup, best)
        if screened.predicted_per_second is None:
            trial.report(screened.saturated_per_second, 0)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, screened.predicted_per_second)

    def _screen(self, setup: ServingSetup, best_per_second: float) -> Screened:
        """Prunes a setup whose call alone is over the limit, or that, saturated, is slower than the best one holds."""
        limit = self.settings.limit_secs
        self._measure(1, setup.threads)
        alone = self.times.get((setup.threads, 1, setup.batch))
        if alone is None or float(np.median(alone)) > limit:
            return Screened(setup, 0.0, None, f"a call of {setup.batch} takes longer than the limit")
        self._measure(setup.instances, setup.threads)
        saturated = ServiceTimes(self.times).saturated_per_second(setup)
        if saturated < best_per_second:
            return Screened(setup, saturated, None, "slower, saturated, than another one under its limit")
        return Screened(setup, saturated, self.prediction(setup).capacity_per_second(limit))

    def _measure(self, instances: int, threads: int) -> None:
        """Times the calls of all batch sizes up to the first that takes longer than the limit."""
        for size in self.settings.sizes:
            place = (threads, instances, size)
            if place not in self.times:
                setup = ServingSetup(instances, threads, size)
                self.times[place] = self.target.saturated_secs(setup, self.settings.call_secs)
            alone = self.times.get((threads, 1, size), self.times[place])
            if float(np.median(alone)) > self.settings.limit_secs:
                return


def _ranked(found: Mapping[ServingSetup, Screened]) -> tuple[Screened, ...]:
    """The most promising first."""

    def key(one: Screened) -> tuple[bool, float, ServingSetup]:
        return one.predicted_per_second is None, -one.guess_per_second, one.setup

    return tuple(sorted(found.values(), key=key))


def setups(settings: SearchSettings) -> Sequence[ServingSetup]:
    """Every setup of a search, first one request after the other; those of one process follow each other."""
    found = [
        ServingSetup(instances, threads, size)
        for threads in reversed(settings.thread_counts)
        for instances in range(1, settings.most_instances(threads) + 1)
        for size in reversed(settings.sizes)
    ]
    first = settings.one_after_the_other
    return [first, *(one for one in found if one != first)]


def _suggested(trial: optuna.Trial, settings: SearchSettings) -> ServingSetup:
    threads = int(trial.suggest_categorical("threads", settings.thread_counts))
    instances = trial.suggest_int("instances", 1, settings.most_instances(threads))
    return ServingSetup(instances, threads, int(trial.suggest_categorical("batch", settings.sizes)))
