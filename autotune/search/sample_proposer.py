"""Proposals of training data: configs from everywhere in a search space, and more from its fast end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from autotune.search.batch import ConfigBatch, Screen, legal
from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from autotune.search.variation import ConfigVariation
from search_spaces.config import Config
from search_spaces.decision import Choose, Decision


@dataclass(frozen=True)
class SampleProposer(ConfigProposer):
    """Proposes batches to train a cost model on, rather than to find the fastest config.

    Model-guided proposals alone would not cover the slow end, random ones alone hardly the fast end: a batch is a mix
    of both, once some configs ran.

    guided: share of a batch that the surrogate of `ConfigProposer` chooses;
    varied: share of variations of measured configs, the faster the more often;
    initial: share of the initial configs.
    The rest is random, every choice of a decision as often as the others.
    """

    guided: float = 0.3
    varied: float = 0.2
    initial: float = 0.2

    def propose(
        self,
        answer: Callable[[Choose], Config],
        observations: Observations,
        count: int,
        rng: np.random.Generator,
        screen: Screen = legal,
    ) -> list[Config]:
        """See `ConfigProposer.propose`."""
        variation = ConfigVariation(answer, rng)
        ran = observations.best(len(observations.measured))
        chosen: list[Config] = []
        if len(ran) >= self.start:
            chosen += super().propose(answer, observations, round(self.guided * count), rng, screen)
            variation.learn(ran)
            near = ConfigBatch(round(self.varied * count), {*observations.known, *chosen}, screen)
            near.take(self._varied(variation, ran))
            chosen += near.chosen
        warm = ConfigBatch(round(self.initial * count), {*observations.known, *chosen}, screen)
        warm.take(variation.replay(initial.by_name) for initial in observations.initial_configs)
        chosen += warm.chosen
        anywhere = ConfigBatch(count - len(chosen), {*observations.known, *chosen}, screen)
        choose = _WithoutReplacement(rng)
        anywhere.take(answer(choose) for _ in range(self.draft))
        return [*chosen, *anywhere.chosen]

    def _varied(self, variation: ConfigVariation, ran: list[Config]) -> Iterator[Config]:
        for number in range(self.draft):
            # The square favours the front: half of the parents come from the first quarter.
            mother, father = (ran[int(len(ran) * variation.rng.random() ** 2)] for _ in range(2))
            yield variation.mutate(mother) if number % 3 else variation.cross(mother, father)


class _WithoutReplacement:
    """Draws the choices of each decision without replacement, and starts anew when all have been drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: dict[str, list[int]] = {}

    def __call__(self, decision: Decision) -> int:
        if not self._left.get(decision.name):
            self._left[decision.name] = self._rng.permutation(len(decision.choices)).tolist()
        return self._left[decision.name].pop()
