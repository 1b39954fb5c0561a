"""Proposals of configs to measure: a surrogate ranks thousands of configs, from which a batch is chosen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from autotune.search.batch import ConfigBatch, Screen, legal
from autotune.search.observations import Observations
from autotune.search.surrogate import Prior, Surrogate
from autotune.search.variation import ConfigVariation
from search_spaces.config import Config
from search_spaces.decision import Choose


@dataclass(frozen=True, slots=True)
class ConfigProposer:
    """Proposes batches of configs to measure: a stateless function of the observations and the random generator.

    start:       configs that are measured before a surrogate is fitted: the initial configs, then random ones.
    exploration: share of a batch that is drawn from the promising part of the draft instead of its top.
    initial:     share of a batch that is taken from the initial configs, as long as there are new ones.
    promising:   size of the promising part, as a share of the draft.
    local:       share of a batch that is taken from the neighbours of the incumbents, by one decision after another.
    spread:      decisions in which two configs of a batch differ at least, as long as there are such.
    draft:       random configs that the surrogate ranks; about as many come from varying the best measured ones.
    generations: rounds of variation of the configs that the surrogate ranks highest.
    elites:      number of the best configs, measured or predicted, that are varied.
    incumbents:  number of the best measured configs all of whose neighbours are ranked.
    valid_above: probability of being valid from which a config is preferred to all below.
    prior:       scores by a pretrained model; with one, the surrogate ranks from the first trial on.
    """

    start: int = 10
    exploration: float = 0.1
    local: float = 0.4
    initial: float = 0.1
    promising: float = 0.25
    spread: int = 2
    draft: int = 1000
    generations: int = 2
    elites: int = 32
    incumbents: int = 4
    valid_above: float = 0.5
    prior: Prior | None = None

    def propose(
        self,
        answer: Callable[[Choose], Config],
        observations: Observations,
        count: int,
        rng: np.random.Generator,
        screen: Screen = legal,
    ) -> list[Config]:
        """Up to `count` different configs, none of them observed; fewer only where no more are found.

        answer: `SearchSpace.answer`.
        screen: builds a config and returns its canonical form, or None to reject it.
        """
        variation = ConfigVariation(answer, rng)
        batch = ConfigBatch(count, observations.known, screen)
        if len(observations.measured) < self.start and self.prior is not None:
            self._take_by_prior(batch, variation, observations)
        elif len(observations.measured) < self.start:
            batch.take(self._initial_configs(variation, observations))
        elif np.isfinite(observations.losses).sum() >= 2:
            self._take_by_surrogate(batch, variation, observations)
        batch.take(variation.random() for _ in range(self.draft))
        return list(batch.chosen)

    def _take_by_surrogate(
        self, batch: ConfigBatch, variation: ConfigVariation, observations: Observations
    ) -> None:
        variation.learn(observations.measured)
        drawn = batch.unknown(variation.random() for _ in range(self.draft))
        incumbents = observations.best(self.elites)
        near: dict[str, list[Config]] = defaultdict(list)
        for best in incumbents[: self.incumbents]:
            for name, configs in variation.neighbours(best).items():
                near[name] += configs
        initial_configs = batch.unknown(self._initial_configs(variation, observations))
        pool = batch.unknown(
            [*drawn, *chain(*near.values()), *initial_configs, *self._vary(variation, incumbents)]
        )
        surrogate = self._surrogate(variation, observations)
        ranked = self._evolved(batch, variation, surrogate, pool)
        promising = surrogate.best(drawn, math.ceil(len(drawn) * self.promising))
        explorers = [promising[place] for place in variation.rng.permutation(len(promising))]
        nearby = [surrogate.best(batch.unknown(configs), len(configs)) for configs in near.values()]
        queues = [iter(ranked), iter(explorers), _in_turns(nearby, variation.rng), iter(initial_configs)]
        initial = self.initial if initial_configs else 0.0
        odds = [1 - self.exploration - self.local - initial, self.exploration, self.local, initial]
        while not batch.full:
            queue = queues[variation.rng.choice(4, p=odds)]
            if not batch.take_one(queue, self.spread) and not batch.take_one(queues[0], self.spread):
                break
        batch.take(ranked)

    def _take_by_prior(
        self, batch: ConfigBatch, variation: ConfigVariation, observations: Observations
    ) -> None:
        """Adds initial configs from the part that a prior ranks promising; without any, its highest-ranked configs.

        A prior separates good configs from bad ones better than it orders the good ones, so these are drawn at random.
        """
        variation.learn(observations.measured)
        initial_configs = batch.unknown(self._initial_configs(variation, observations))
        drawn = batch.unknown(variation.random() for _ in range(0 if initial_configs else self.draft))
        surrogate = self._surrogate(variation, observations)
        promising = surrogate.best(initial_configs, math.ceil(len(initial_configs) * self.promising))
        for place in variation.rng.permutation(len(promising)):
            batch.take(promising[place : place + 1])
        if not batch.full:
            ranked = iter(
                self._evolved(batch, variation, surrogate, batch.unknown([*drawn, *initial_configs]))
            )
            while not batch.full and batch.take_one(ranked, self.spread):
                pass
            batch.take(ranked)

    def _surrogate(self, variation: ConfigVariation, observations: Observations) -> Surrogate:
        seed = int(variation.rng.integers(1 << 31))
        return Surrogate.of(observations, variation.decisions.values(), seed, self.valid_above, self.prior)

    def _evolved(
        self, batch: ConfigBatch, variation: ConfigVariation, surrogate: Surrogate, pool: list[Config]
    ) -> list[Config]:
        """The pool and some generations of variations of its best, ranked by the surrogate."""
        for _ in range(self.generations):
            pool = batch.unknown([*pool, *self._vary(variation, surrogate.best(pool, self.elites))])
        return surrogate.best(pool, len(pool))

    def _initial_configs(self, variation: ConfigVariation, observations: Observations) -> Iterator[Config]:
        return (variation.replay(initial.by_name) for initial in observations.initial_configs)

    def _vary(self, variation: ConfigVariation, parents: list[Config]) -> Iterator[Config]:
        """Half as many configs as the draft: two thirds mutated, one third crossed."""
        for number in range(self.draft // 2 if parents else 0):
            parent = parents[number % len(parents)]
            if number % 3:
                yield variation.mutate(parent)
            else:
                yield variation.cross(parent, parents[int(variation.rng.integers(len(parents)))])


def _in_turns(queues: Sequence[list[Config]], rng: np.random.Generator) -> Iterator[Config]:
    """The first of each, in random order, then the second of each, and so on."""
    order = [queues[place] for place in rng.permutation(len(queues))]
    return (config for row in zip_longest(*order) for config in row if config is not None)
