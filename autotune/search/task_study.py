"""The search of one task on one device: an Optuna study that is asked for candidates (imports Optuna)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.observations import Observations
from search_spaces import Candidate, Choose, Config, Decision, IllegalSchedule, SearchSpace
from search_spaces.enumeration import enumerate_configs
from tuning_logs import GpuResources, Timing, TuningRecord

# A space of no more configs than this is measured to the end instead of searched.
_ENUMERATED_SIZE = 64
# Proposals in a row without a new config before random configs are tried instead, and then before giving up.
_PATIENCE = 200
# Samples that are kept: a batch takes few of them, and the surrogate ranks the rest. Drawing all of them again for
# each round would take longer than proposing.
_HEURISTIC_SAMPLES = 200
_NEW_SAMPLES_PER_TRIAL = 4


class TaskStudy:
    """Asks a sampler for configs to measure, and tells it their measurements.

    Only configs that will be measured count as trials of the tuner. Duplicates are told to Optuna as FAIL, which
    samplers ignore; illegal configs and failed candidates as violated constraints, which samplers model.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: optuna.samplers.BaseSampler,
        rng: np.random.Generator,
        known: Iterable[TuningRecord] = (),
        similar: Callable[[SearchSpace], list[Config]] = lambda _space: [],
    ) -> None:
        """known: the task's earlier records, from which the study is rebuilt.

        similar: configs that did well on similar tasks, as far as is known now, the most promising first.
        """
        self.space = space
        self.study = optuna.create_study(sampler=sampler, direction="minimize")
        self.rng = rng
        self._similar = similar
        self._seen = {space.default.key}
        self._pending: dict[str, Trial] = {}
        self._rest = self._small_space() if space.size <= _ENUMERATED_SIZE else None
        self._worst_secs = 1.0
        self._sampler = sampler if isinstance(sampler, CostModelSampler) else None
        self._losses: dict[Config, float] = {}
        self._build_secs: dict[Config, float] = {}
        self._resources: dict[Config, GpuResources | None] = {}
        self._illegal: list[Config] = []
        self._heuristic_samples: deque[Config] = deque(maxlen=_HEURISTIC_SAMPLES)
        self._unmeasured: dict[Config, Candidate] = {}
        for record in known:
            self._add(record)

    def ask(self, count: int) -> list[Candidate]:
        """Up to `count` new, legal candidates; fewer, or none, where the space is used up.

        The default schedule is never among them: it is the tuner's baseline.
        """
        if self._rest is not None:
            return list(islice(self._rest, count))
        if self._sampler is not None:
            return self._guided(self._sampler, count)
        found: list[Candidate] = []
        misses = 0
        while len(found) < count and misses < 2 * _PATIENCE:
            candidate = self._propose() if misses < _PATIENCE else self._draw()
            if candidate is None:
                misses += 1
            else:
                found.append(candidate)
                misses = 0 if misses < _PATIENCE else _PATIENCE
        return found

    def tell(self, records: Sequence[TuningRecord]) -> None:
        """Reports measured candidates, asked for or not."""
        for record in records:
            self._unmeasured.pop(record.config, None)
            self._losses[record.config] = record.secs
            self._build_secs[record.config] = record.measurement.build_secs
            self._resources[record.config] = record.gpu
            trial = self._pending.pop(record.config.key, None)
            if trial is None:
                self._add(record)
            elif isinstance(record.measurement, Timing):
                self.study.tell(trial, self._value(record))
            else:
                self._tell_violation(trial, record.measurement.kind)

    def _guided(self, sampler: CostModelSampler, count: int) -> list[Candidate]:
        """A batch chosen by the cost models; none of it becomes a trial of the study, which they do not need."""
        fresh = _NEW_SAMPLES_PER_TRIAL * count if self._heuristic_samples else _HEURISTIC_SAMPLES
        self._heuristic_samples.extend(self.space.heuristic_samples(fresh, self.rng))
        observations = Observations(
            measured=tuple(self._losses),
            losses=tuple(self._losses.values()),
            build_secs=tuple(self._build_secs.values()),
            resources=tuple(self._resources.values()),
            illegal=tuple(self._illegal),
            pending=(self.space.default, *self._unmeasured),
            initial_configs=(*self._similar(self.space), *reversed(self._heuristic_samples)),
        )
        configs = sampler.propose(self.space.answer, observations, count, self._canonical)
        return [self._unmeasured[config] for config in configs]

    def _canonical(self, config: Config) -> Config | None:
        """The canonical form of a proposed config; None where it is illegal or stands for a program seen before."""
        candidate = self._screen(config)
        if candidate is None:
            return None
        self._unmeasured[candidate.config] = candidate
        return candidate.config

    def _propose(self) -> Candidate | None:
        trial = self.study.ask()
        config = self.space.answer(lambda decision: _suggest(trial, decision))
        if config.key in self._seen:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        try:
            candidate = self.space.apply(config)
        except IllegalSchedule:
            self._seen.add(config.key)
            self._tell_violation(trial, "illegal_schedule")
            return None
        if candidate.config.key in self._seen:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        self._seen |= {config.key, candidate.config.key}
        self._pending[candidate.config.key] = trial
        return candidate

    def _draw(self) -> Candidate | None:
        return self._screen(lambda decision: int(self.rng.integers(len(decision.choices))))

    def _small_space(self) -> Iterator[Candidate]:
        for config in enumerate_configs(self.space):
            candidate = self._screen(config)
            if candidate is not None:
                yield candidate

    def _screen(self, choose: Choose) -> Candidate | None:
        config = self.space.answer(choose)
        if config.key in self._seen:
            return None
        self._seen.add(config.key)
        try:
            candidate = self.space.apply(config)
        except IllegalSchedule:
            self._illegal.append(config)
            return None
        if candidate.config != config and candidate.config.key in self._seen:
            return None
        self._seen.add(candidate.config.key)
        return candidate

    def _add(self, record: TuningRecord) -> None:
        self._seen.add(record.config.key)
        self._losses.setdefault(record.config, record.secs)
        self._build_secs.setdefault(record.config, record.measurement.build_secs)
        self._resources.setdefault(record.config, record.gpu)
        if self._sampler is not None:
            return  # it reads the losses, and a trial of the study takes more memory than all else of a record
        try:
            params, distributions = as_params(self.space, record.config)
        except IllegalSchedule:
            return  # a record of another version of the space
        self.study.add_trial(self._frozen(record, params, distributions))

    def _frozen(
        self, record: TuningRecord, params: dict[str, int | str], distributions: dict[str, BaseDistribution]
    ) -> FrozenTrial:
        good = isinstance(record.measurement, Timing)
        return create_trial(
            value=self._value(record),
            params=params,
            distributions=distributions,
            constraints={} if good else {"failure": 1.0},
        )

    def _value(self, record: TuningRecord) -> float:
        """The latency in seconds; for a failure that of the slowest candidate, since samplers need a finite value."""
        if isinstance(record.measurement, Timing):
            self._worst_secs = max(self._worst_secs, record.secs)
            return record.secs
        return self._worst_secs

    def _tell_violation(self, trial: Trial, constraint: str) -> None:
        trial.set_constraint(constraint, 1.0)
        self.study.tell(trial, self._worst_secs)


def _suggest(trial: Trial, decision: Decision) -> int:
    distribution = _distribution(decision)
    if isinstance(distribution, CategoricalDistribution):
        return decision.choices.index(trial.suggest_categorical(decision.name, list(distribution.choices)))
    return int(trial.suggest_int(decision.name, 0, len(decision.choices) - 1))


def _distribution(decision: Decision) -> BaseDistribution:
    """Optuna's distribution of a decision: categorical for names, integers for ordered numbers and tilings."""
    if all(isinstance(choice, str) for choice in decision.choices):
        return CategoricalDistribution([str(choice) for choice in decision.choices])
    return IntDistribution(0, len(decision.choices) - 1)


def as_params(space: SearchSpace, config: Config) -> tuple[dict[str, int | str], dict[str, BaseDistribution]]:
    """A config as a trial's parameters. Raises IllegalSchedule for a config of another version of the space."""
    params: dict[str, int | str] = {}
    distributions: dict[str, BaseDistribution] = {}

    def replay(decision: Decision) -> int:
        position = config(decision)
        distribution = _distribution(decision)
        distributions[decision.name] = distribution
        named = isinstance(distribution, CategoricalDistribution)
        params[decision.name] = str(decision.choices[position]) if named else position
        return position

    space.answer(replay)
    return params, distributions
