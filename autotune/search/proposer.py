"""The search inside the search: models judge thousands of configs, and the few worth measuring come out."""

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
    """Proposes batches of configs to measure: a function of the evidence and the generator, nothing is kept.

    start:       configs that are measured before a model is asked: the hints, then random ones.
    exploration: share of a batch that is drawn from the promising part of the draft instead of its top.
    hinted:      share of a batch that is taken from the hints, as long as there are new ones.
    promising:   how large that part is.
    local:       share of a batch that is taken from the neighbours of the incumbents, by one decision after another.
    spread:      in how many decisions, at least, two configs of a batch differ as long as there are such.
    draft:       random configs that the models judge; about as many come from varying the best measured ones.
    generations: how often the best by the models are varied once more.
    elites:      how many of the best, measured or predicted, are varied.
    incumbents:  how many of the best measured ones have all their neighbours judged.
    valid_above: the probability of being valid from which a config is preferred to all that have less.
    prior:       what a model trained elsewhere expects; with one, there is no start to wait for.
    """

    start: int = 10
    exploration: float = 0.1
    local: float = 0.4
    hinted: float = 0.1
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
        """Up to `count` different configs, none of them in the evidence; fewer only where no more are found.

        answer: `SearchSpace.answer`.
        screen: tries to build a config and tells its canonical form; what it turns down is not proposed.
        """
        variation = ConfigVariation(answer, rng)
        batch = ConfigBatch(count, observations.known, screen)
        if len(observations.measured) < self.start and self.prior is not None:
            self._take_foreseen(batch, variation, observations)
        elif len(observations.measured) < self.start:
            batch.take(self._initial_configs(variation, observations))
        elif np.isfinite(observations.losses).sum() >= 2:
            self._take_judged(batch, variation, observations)
        batch.take(variation.random() for _ in range(self.draft))
        return list(batch.chosen)

    def _take_judged(
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
        hinted = self.hinted if initial_configs else 0.0
        odds = [1 - self.exploration - self.local - hinted, self.exploration, self.local, hinted]
        while not batch.full:
            queue = queues[variation.rng.choice(4, p=odds)]
            if not batch.take_one(queue, self.spread) and not batch.take_one(queues[0], self.spread):
                break
        batch.take(ranked)

    def _take_foreseen(
        self, batch: ConfigBatch, variation: ConfigVariation, observations: Observations
    ) -> None:
        """Any of the hints that a prior finds promising, and what it likes best of all where there are no hints.

        Its order tells good from bad, and less of the best, which are much alike: so the hints stay a sample.
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
        """The pool and some generations of its best, in the order of the judge's preference."""
        for _ in range(self.generations):
            pool = batch.unknown([*pool, *self._vary(variation, surrogate.best(pool, self.elites))])
        return surrogate.best(pool, len(pool))

    def _initial_configs(self, variation: ConfigVariation, observations: Observations) -> Iterator[Config]:
        return (variation.replay(initial.by_name) for initial in observations.initial_configs)

    def _vary(self, variation: ConfigVariation, parents: list[Config]) -> Iterator[Config]:
        """Half as many as the draft: two thirds mutated, one third crossed."""
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
