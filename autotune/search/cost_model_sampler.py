"""An Optuna sampler that ranks candidate trials by a cost model (imports Optuna)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.search.batch import Screen, legal
from autotune.search.distribution_space import DistributionSpace
from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from autotune.search.variation import ConfigVariation
from search_spaces.config import Config
from search_spaces.decision import Choose
from search_spaces.errors import Misuse

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
#: The fewest cells of a range.
_COARSEST = 32


class CostModelSampler(BaseSampler):  # type: ignore[misc]  # Optuna is not type-checked here
    """Proposes whole trials with boosted trees: a pairwise ranker for the value, a classifier for validity.

    For studies with one objective, of any parameters. What no trial has asked for yet is drawn at random, so the
    first trial always is. Trials with a violated constraint (`trial.set_constraint` above 0) count as illegal,
    failed and pruned trials as failures: the region is avoided, and none of them is proposed again.

    >>> study = optuna.create_study(sampler=CostModelSampler(seed=0))
    >>> study.optimize(objective, n_trials=100)
    """

    def __init__(
        self, seed: int | None = None, batch: int = 4, proposer: ConfigProposer | None = None
    ) -> None:
        """batch: trials proposed at a time. They are handed out one by one until they are used up, or until a new
        best makes it worthwhile to think again. A smaller batch needs fewer trials and more time between them.

        Raises Misuse where batch is not positive.
        """
        if batch < 1:
            raise Misuse(f"a batch needs at least one trial, found {batch}", code="AT602")
        self._batch = batch
        self._proposer = proposer or ConfigProposer()
        self._rng = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=int(self._rng.integers(1 << 31)))
        self._queue: list[dict[str, Any]] = []
        self._queued_for: tuple[dict[str, BaseDistribution], float] | None = None
        self._handed_out: dict[int, dict[str, Any]] = {}

    def propose(
        self,
        answer: Callable[[Choose], Config],
        observations: Observations,
        count: int,
        screen: Screen = legal,
    ) -> list[Config]:
        """Up to `count` configs of a search space, whose questions may depend on earlier answers.

        A study of a `SearchSpace` calls it: the space decides what is legal, and the observations hold
        configs as they were measured, so nothing is read back out of trials.
        """
        return self._proposer.propose(answer, observations, count, self._rng, screen)

    def reseed_rng(self) -> None:
        """A fresh generator, so that copies in other processes propose other trials."""
        self._rng = np.random.default_rng()
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that a finished trial asked for, as it was last asked.

        Raises ValueError for a study with several objectives, as Optuna's samplers do.
        """
        self._raise_error_if_multi_objective(study)
        found: dict[str, BaseDistribution] = {}
        for finished in study.get_trials(deepcopy=False, states=_FINISHED):
            found.update(finished.distributions)
        return {name: found[name] for name in sorted(found) if not found[name].single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One whole trial of the batch; a repetition only where the space is used up."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        finished = study.get_trials(deepcopy=False, states=_FINISHED)
        losses = [_loss(study, one) for one in finished]
        asked_for = (search_space, min(losses, default=math.inf))
        if not self._queue or self._queued_for != asked_for:
            self._queue = self._propose(search_space, finished, losses)[::-1]
            self._queued_for = asked_for
        params = self._queue.pop()
        self._handed_out[trial.number] = params
        return params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value: for parameters that no finished trial has asked for."""
        self._raise_error_if_multi_objective(study)
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _propose(
        self, search_space: dict[str, BaseDistribution], finished: list[FrozenTrial], losses: list[float]
    ) -> list[dict[str, Any]]:
        for number in [one.number for one in finished if one.number in self._handed_out]:
            del self._handed_out[number]
        # The more trials there are, the finer the cells of a range: look around first, settle later.
        space = DistributionSpace(search_space, cells=max(_COARSEST, 1 << len(finished).bit_length()))
        configs = [space.config(one.params) for one in finished]
        violated = [_is_violated(one) for one in finished]
        observations = Observations(
            measured=tuple(config for config, bad in zip(configs, violated, strict=True) if not bad),
            losses=tuple(loss for loss, bad in zip(losses, violated, strict=True) if not bad),
            illegal=tuple(config for config, bad in zip(configs, violated, strict=True) if bad),
            pending=tuple(space.config(params) for params in self._handed_out.values()),
        )
        batch = self._proposer.propose(space.answer, observations, self._batch, self._rng, _Unasked(configs))
        # Where everything has been tried, anything may be tried again.
        batch = batch or [ConfigVariation(space.answer, self._rng).random()]
        return [space.params(config, self._rng) for config in batch]


class _Unasked:
    """Turns down a config that answers all that an earlier trial was asked, in the same way: where some parameters
    depend on others, that would be the same trial again."""

    def __init__(self, configs: Iterable[Config]) -> None:
        self._asked: dict[tuple[str, ...], set[Config]] = {}
        for config in configs:
            names = tuple(name for name, _ in config)
            if names:
                self._asked.setdefault(names, set()).add(config)

    def __call__(self, config: Config) -> Config | None:
        for names, configs in self._asked.items():
            if Config(tuple((name, config.by_name[name]) for name in names)) in configs:
                return None
        return config


def _is_violated(trial: FrozenTrial) -> bool:
    return any(value > 0 for value in trial.constraints.values())


def _loss(study: Study, trial: FrozenTrial) -> float:
    """The objective's value to be minimised, infinite for a trial that did not succeed."""
    if trial.state is not TrialState.COMPLETE or trial.value is None or _is_violated(trial):
        return math.inf
    value = -trial.value if study.direction is StudyDirection.MAXIMIZE else trial.value
    return value if value > -math.inf else -np.finfo(np.float64).max
