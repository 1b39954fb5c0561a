"""The finals of a job, which find each task's fastest config beyond noise, on a disturbed machine as well."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autotune.builders.artifact import Artifact, discard
from autotune.builders.builder import Builder
from autotune.runners.drift import is_steady
from autotune.runners.runner import Outcome, Runner
from autotune.runners.steady_runner import SteadyRunner
from autotune.tuning.finalists import best_steady_secs, choose_finalists, latencies, unsteady_contenders
from autotune.tuning.trial_recorder import TrialRecorder, without_lost_devices
from search_spaces import Config, SearchSpace, TuningTask
from tuning_logs import Check, Failure, FailureKind, Timing, TuningRecord
from tuning_logs.selection.significance import is_significant, wilcoxon_p_value

#: The space of a task, and its records.
Subject = tuple[SearchSpace, Sequence[TuningRecord]]

_MIN_TURNS = 6
_MAX_TURNS = 12


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The winner of a final, and its significance.

    secs:    the winner's latency: the median of its turns.
    rival:   the second, None where no other config ran.
    p_value: the probability of such turns if the winner were no faster than its rival (Wilcoxon's signed-rank
             test, one-sided, over pairs of the same turn); 0.0 without a rival.
    """

    winner: Config
    secs: float
    rival: Config | None
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the winner is faster than its rival beyond noise (at 5 %)."""
        return is_significant(self.p_value)


@dataclass
class Final:
    """Turns in which each artifact of one task is measured once, in a rotating order.

    known_secs:  the latency of those configs that were measured on a steady machine before;
    most_turns:  the number of turns after which there are no more;
    turns:       for each turn on a steady machine, the latency of each artifact in seconds, infinite where it failed;
    slow_turns:  the same for turns on a machine that was slower than usual, which slows all artifacts alike. They count
                 only where there were no others.
    """

    artifacts: tuple[Artifact, ...]
    known_secs: Mapping[Config, float] = field(default_factory=dict)
    most_turns: int = _MAX_TURNS
    turns: list[tuple[float, ...]] = field(default_factory=list)
    slow_turns: list[tuple[float, ...]] = field(default_factory=list)
    _timings: list[list[Timing]] = field(default_factory=list)
    _slow_timings: list[list[Timing]] = field(default_factory=list)
    _failures: dict[int, Failure] = field(default_factory=dict)
    _checks: dict[int, Check | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._timings = [[] for _ in self.artifacts]
        self._slow_timings = [[] for _ in self.artifacts]

    def run(
        self,
        runner: Runner,
        has_time: Callable[[], bool],
        best_secs: float = math.inf,
    ) -> None:
        """Takes turns until the winner is clear, so many were taken on a steady machine or on a slow one, or there is
        no time for another; best_secs: the task's best so far."""
        for turn in range(2 * self.most_turns):
            running = [place for place in range(len(self.artifacts)) if place not in self._failures]
            if len(running) < 2 or not has_time():
                return
            first = turn % len(running)
            order = running[first:] + running[:first]
            outcomes = runner.run([self.artifacts[place] for place in order], best_secs)
            found = dict(zip(order, outcomes, strict=True))
            if all(is_steady(outcome.slowdown) for outcome in outcomes):
                self._note(found, self.turns, self._timings)
            else:
                self._note(found, self.slow_turns, self._slow_timings)
            if max(len(self.turns), len(self.slow_turns)) >= self.most_turns:
                return
            verdict = self.verdict
            if len(self.turns) >= _MIN_TURNS and verdict is not None and verdict.is_clear:
                return

    @property
    def verdict(self) -> FinalResult | None:
        """The winner so far, None before the first turn that counts."""
        turns = self.turns or self.slow_turns
        if not turns:
            return None
        columns = list(zip(*turns, strict=True))
        medians = [
            math.inf if place in self._failures else statistics.median(column)
            for place, column in enumerate(columns)
        ]
        ranked = sorted(range(len(columns)), key=medians.__getitem__)
        winner = ranked[0]
        if not medians[winner] < math.inf:
            return None
        rival = ranked[1] if len(ranked) > 1 and medians[ranked[1]] < math.inf else None
        p_value = 0.0 if rival is None else wilcoxon_p_value(columns[winner], columns[rival])
        return FinalResult(
            self.artifacts[winner].config,
            medians[winner] / (1.0 if self.turns else self._slowdown or 1.0),
            None if rival is None else self.artifacts[rival].config,
            p_value,
        )

    def outcomes(self) -> list[tuple[Artifact, Outcome]]:
        """The outcomes to record: for each artifact all its repeats in one timing, or its last failure.

        Where only slow turns were taken, those of artifacts of unknown latency, with the slowdown of the known ones.
        """
        slowdown = 1.0 if self.turns else self._slowdown
        found = []
        for place, artifact in enumerate(self.artifacts):
            timings = self._timings[place] if self.turns else self._slow_timings[place]
            if place in self._failures:
                found.append((artifact, Outcome(self._failures[place], self._checks[place])))
            elif timings and slowdown and (self.turns or artifact.config not in self.known_secs):
                run_secs = tuple(secs for timing in timings for secs in timing.run_secs)
                censored = all(timing.censored for timing in timings)
                timing = Timing(run_secs, artifact.build_secs, censored, slowdown)
                found.append((artifact, Outcome(timing, self._checks[place])))
        return found

    @property
    def _slowdown(self) -> float | None:
        """The slowdown of artifacts of known latency in the slow turns, None where there are none."""
        if not self.slow_turns:
            return None
        columns = zip(*self.slow_turns, strict=True)
        ratios = [
            statistics.median(column) / self.known_secs[artifact.config]
            for artifact, column in zip(self.artifacts, columns, strict=True)
            if artifact.config in self.known_secs
        ]
        finite = [ratio for ratio in ratios if math.isfinite(ratio)]
        return statistics.median(finite) if finite else None

    def _note(
        self, outcomes: dict[int, Outcome], turns: list[tuple[float, ...]], timings: list[list[Timing]]
    ) -> None:
        secs = [math.inf] * len(self.artifacts)
        for place, outcome in outcomes.items():
            self._checks[place] = outcome.check
            if isinstance(outcome.measurement, Timing):
                timings[place].append(outcome.measurement)
                secs[place] = outcome.measurement.secs
            elif outcome.measurement.kind is not FailureKind.DEVICE_LOST:
                self._failures[place] = outcome.measurement
        if all(place in self._failures or secs[place] < math.inf for place in outcomes):
            turns.append(tuple(secs))


# The most configs that were measured on a slow machine, may be the best, and are measured again before the finals.
_SECOND_LOOKS = 16
# After a final another config may be the best, which took no part in it.
_MAX_FINALS = 3


@dataclass
class Finals:
    """Measures finalists again in turns; has_time: whether the budget allows another turn.

    final_results: the results, by task.
    """

    builder: Builder
    runner: SteadyRunner
    recorder: TrialRecorder
    has_time: Callable[[], bool]
    final_results: dict[TuningTask, FinalResult]

    def of_all(
        self,
        tasks: Sequence[TuningTask],
        subject: Callable[[TuningTask], Subject],
        champions: Mapping[TuningTask, Config],
    ) -> Iterator[list[TuningRecord]]:
        """Runs the duels of all tasks, then their finals, in that order, and yields the records of each.

        subject: a task's space and the records so far, those that were yielded among them; champions: as in `decide`.
        """
        for task in tasks:
            yield from self.duel(task, *subject(task))
        for task in tasks:
            if not self.has_time():
                return
            yield from self.decide(task, *subject(task), champions.get(task))

    def duel(
        self, task: TuningTask, space: SearchSpace, known: Sequence[TuningRecord]
    ) -> Iterator[list[TuningRecord]]:
        """Runs a short final between the default and the config that leads, if another one does; yields its records.

        The default ran once, before the search: if the machine was slow at that moment, anything beats it.
        """
        leader = _leader(known, space.default)
        if leader == space.default or not self.has_time():
            return
        final, found = self._final(space, known, [space.default, leader], _MIN_TURNS)
        if final.verdict is not None:
            self.final_results[task] = final.verdict
        if found:
            yield found

    def decide(
        self,
        task: TuningTask,
        space: SearchSpace,
        known: Sequence[TuningRecord],
        champion: Config | None = None,
    ) -> Iterator[list[TuningRecord]]:
        """Runs second looks and finals until the best of the task's records took part in a final; yields their
        records. known: the task's records so far; champion: the best of earlier jobs, if any."""
        records = list(known)
        seen: set[Config] = set()
        for again in self._second_looks(space, records):
            records += again
            yield again
        for _ in range(_MAX_FINALS):
            configs = choose_finalists(records, space.default, champion)
            if len(configs) < 2 or set(configs[1:2]) <= seen or not self.has_time():
                return
            final, found = self._final(space, records, configs)
            if final.verdict is None:
                return
            self.final_results[task] = final.verdict
            seen.update(configs)
            records += found
            if found:
                yield found

    def _second_looks(
        self, space: SearchSpace, records: Sequence[TuningRecord]
    ) -> Iterator[list[TuningRecord]]:
        """Measures once more what ran on a slow device and may be the best, if the device is steady again."""
        known = latencies(records, space.default)
        chosen = unsteady_contenders(known)[:_SECOND_LOOKS]
        if not chosen or not is_steady(self.runner.slowdown) or not self.has_time():
            return
        candidates = [space.apply(config) for config in chosen]
        again = self.recorder.measure(candidates, self.builder, self.runner, best_steady_secs(known))
        yield without_lost_devices(again)

    def _final(
        self,
        space: SearchSpace,
        records: Sequence[TuningRecord],
        configs: Sequence[Config],
        most_turns: int = _MAX_TURNS,
    ) -> tuple[Final, list[TuningRecord]]:
        known = latencies(records, space.default)
        known_secs = {
            config: known[config].secs for config in configs if config in known and known[config].is_steady
        }
        candidates = {config: space.apply(config) for config in configs}
        built = self.builder.build(list(candidates.values()))
        final = Final(tuple(one for one in built if isinstance(one, Artifact)), known_secs, most_turns)
        try:
            final.run(self.runner, self.has_time, min(known_secs.values(), default=math.inf))
        finally:
            discard(built)
        found = [
            self.recorder.record(candidates[artifact.config], outcome, artifact.gpu)
            for artifact, outcome in final.outcomes()
        ]
        return final, found


def _leader(records: Sequence[TuningRecord], default: Config) -> Config:
    """The config with the least latency, all repeats pooled; the default where it never ran."""
    own = [record.measurement for record in records if record.config == default]
    defaults = [one for one in own if isinstance(one, Timing)]
    if not defaults:
        return default
    secs = {config: one.secs for config, one in latencies(records, default).items()}
    secs[default] = Timing.pooled(defaults).secs
    return min(secs, key=secs.__getitem__)
