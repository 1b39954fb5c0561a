"""Configs whose measurements teach most about a search space: from everywhere in it, and more from its fast end."""

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
    """Proposes batches to learn from, rather than to win with.

    Whoever only measures what a model likes learns nothing of the rest, and whoever measures at random hardly meets
    the fast end: a batch is a mix, once some configs ran.

    guided: share of a batch that the models of `ConfigProposer` choose;
    varied: share that is varied from what was measured, the faster the more often;
    hinted: share of the hints, which are where a search begins.
    The rest is random, every choice of a decision as often as the others.
    """

    guided: float = 0.3
    varied: float = 0.2
    hinted: float = 0.2

    def propose(
        self,
        answer: Callable[[Choose], Config],
        observations: Observations,
        count: int,
        rng: np.random.Generator,
        screen: Screen = legal,
    ) -> list[Config]:
        """As `ConfigProposer.propose` does."""
        variation = ConfigVariation(answer, rng)
        ran = observations.best(len(observations.measured))
        chosen: list[Config] = []
        if len(ran) >= self.start:
            chosen += super().propose(answer, observations, round(self.guided * count), rng, screen)
            variation.learn(ran)
            near = ConfigBatch(round(self.varied * count), {*observations.known, *chosen}, screen)
            near.take(self._varied(variation, ran))
            chosen += near.chosen
        hinted = ConfigBatch(round(self.hinted * count), {*observations.known, *chosen}, screen)
        hinted.take(variation.replay(initial.by_name) for initial in observations.initial_configs)
        chosen += hinted.chosen
        anywhere = ConfigBatch(count - len(chosen), {*observations.known, *chosen}, screen)
        deck = _Deck(rng)
        anywhere.take(answer(deck) for _ in range(self.draft))
        return [*chosen, *anywhere.chosen]

    def _varied(self, variation: ConfigVariation, ran: list[Config]) -> Iterator[Config]:
        for number in range(self.draft):
            # The square favours the front: half of the parents come from the first quarter.
            mother, father = (ran[int(len(ran) * variation.rng.random() ** 2)] for _ in range(2))
            yield variation.mutate(mother) if number % 3 else variation.cross(mother, father)


class _Deck:
    """Draws the choices of each decision without putting them back, until all have been drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: dict[str, list[int]] = {}

    def __call__(self, decision: Decision) -> int:
        if not self._left.get(decision.name):
            self._left[decision.name] = self._rng.permutation(len(decision.choices)).tolist()
        return self._left[decision.name].pop()
