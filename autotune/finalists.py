"""The finalists of a task: its fastest candidates, measured again in turns, so that the winner is not the luckiest."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scipy.stats import wilcoxon

from autotune.artifact import Artifact
from autotune.runner import Outcome, Runner
from search_spaces import Config
from tuning_logs import Check, Failure, FailureKind, Timing, TuningRecord

# Beyond this multiple of the best no luck in timing explains the difference.
_FACTOR = 1.5
_FINALISTS = 4
_MIN_TURNS = 6
_MAX_TURNS = 12
_SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who won a final, and how sure that is.

    secs:    the winner's latency: the median of its turns.
    rival:   the second, None where nobody else ran.
    p_value: how likely turns like these were if the winner were no faster than its rival (Wilcoxon's signed-rank
             test, one-sided, over pairs of the same turn); 0.0 without a rival.
    """

    winner: Config
    secs: float
    rival: Config | None
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the winner is faster than its rival beyond luck (at 5 %)."""
        return self.p_value < _SIGNIFICANCE


def choose_finalists(
    records: Sequence[TuningRecord], default: Config, in_doubt: Mapping[Config, float] | None = None
) -> list[Config]:
    """The default, and the configs of one task whose times, all repeats pooled, are within 1.5× of the best.

    At most four of them, and four more of those in doubt: measured on a machine that was slower, by the factor
    given, which is taken off their times before they are held against the best.
    """
    repeats: dict[Config, list[float]] = defaultdict(list)
    wrong = {default}
    slowdowns = in_doubt or {}
    for record in records:
        if isinstance(record.measurement, Timing):
            if record.config in slowdowns or not record.measurement.censored:
                repeats[record.config].extend(record.measurement.run_secs)
        elif record.measurement.kind is FailureKind.WRONG_RESULT:
            wrong.add(record.config)
    pooled = {
        config: statistics.median(secs) / slowdowns.get(config, 1.0)
        for config, secs in repeats.items()
        if config not in wrong
    }
    limit_secs = _FACTOR * min(
        (secs for config, secs in pooled.items() if config not in slowdowns), default=math.inf
    )
    ranked = sorted((config for config in pooled if pooled[config] <= limit_secs), key=pooled.__getitem__)
    sure = [config for config in ranked if config not in slowdowns]
    doubtful = [config for config in ranked if config in slowdowns]
    return [default, *sure[:_FINALISTS], *doubtful[:_FINALISTS]]


@dataclass
class Final:
    """Turns in which each artifact of one task is measured once, in a rotating order.

    turns: for each turn that counted, the latency of each artifact in seconds, infinite where it failed.
    """

    artifacts: tuple[Artifact, ...]
    turns: list[tuple[float, ...]] = field(default_factory=list)
    _timings: list[list[Timing]] = field(default_factory=list)
    _failures: dict[int, Failure] = field(default_factory=dict)
    _checks: dict[int, Check | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._timings = [[] for _ in self.artifacts]

    def run(self, runner: Runner, is_steady: Callable[[], bool], has_time: Callable[[], bool]) -> None:
        """Takes turns until the winner is clear, twelve were taken, or there is no time for another.

        A turn during which the machine was not steady does not count.
        """
        for turn in range(_MAX_TURNS):
            running = [place for place in range(len(self.artifacts)) if place not in self._failures]
            if len(running) < 2 or not has_time():
                return
            first = turn % len(running)
            order = running[first:] + running[:first]
            outcomes = runner.run([self.artifacts[place].twin(turn) for place in order])
            if is_steady():
                self._note(dict(zip(order, outcomes, strict=True)))
            verdict = self.verdict
            if len(self.turns) >= _MIN_TURNS and verdict is not None and verdict.is_clear:
                return

    @property
    def verdict(self) -> Verdict | None:
        """The winner so far, None before the first turn that counts."""
        if not self.turns:
            return None
        columns = list(zip(*self.turns, strict=True))
        medians = [
            math.inf if place in self._failures else statistics.median(column)
            for place, column in enumerate(columns)
        ]
        ranked = sorted(range(len(columns)), key=medians.__getitem__)
        winner = ranked[0]
        if not medians[winner] < math.inf:
            return None
        rival = ranked[1] if len(ranked) > 1 and medians[ranked[1]] < math.inf else None
        p_value = 0.0 if rival is None else _chance(columns[winner], columns[rival])
        return Verdict(
            self.artifacts[winner].config,
            medians[winner],
            None if rival is None else self.artifacts[rival].config,
            p_value,
        )

    def outcomes(self) -> list[tuple[Artifact, Outcome]]:
        """What is worth writing down: for each artifact all its repeats in one timing, or how it failed at last."""
        found = []
        for place, artifact in enumerate(self.artifacts):
            timings = self._timings[place]
            if place in self._failures:
                found.append((artifact, Outcome(self._failures[place], self._checks[place])))
            elif timings:
                run_secs = tuple(secs for timing in timings for secs in timing.run_secs)
                censored = all(timing.censored for timing in timings)
                timing = Timing(run_secs, artifact.build_secs, censored)
                found.append((artifact, Outcome(timing, self._checks[place])))
        return found

    def _note(self, outcomes: dict[int, Outcome]) -> None:
        secs = [math.inf] * len(self.artifacts)
        for place, outcome in outcomes.items():
            self._checks[place] = outcome.check
            if isinstance(outcome.measurement, Timing):
                self._timings[place].append(outcome.measurement)
                secs[place] = outcome.measurement.secs
            elif outcome.measurement.kind is not FailureKind.DEVICE_LOST:
                self._failures[place] = outcome.measurement
        if all(place in self._failures or secs[place] < math.inf for place in outcomes):
            self.turns.append(tuple(secs))


def _chance(winner: Sequence[float], rival: Sequence[float]) -> float:
    pairs = [(a, b) for a, b in zip(winner, rival, strict=True) if a < math.inf and b < math.inf]
    differences = [b - a for a, b in pairs]
    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, alternative="greater").pvalue)
