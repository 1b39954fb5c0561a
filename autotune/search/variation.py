"""Variation of configs: random, mutated, crossed, neighbouring; decisions are asked, no schedule is built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from search_spaces.config import Config
from search_spaces.decision import Answer, Choose, Decision

#: Draws of the generator that are fetched at once: one at a time they cost more than all the rest.
_DRAWS = 4096
#: Up to so many choices are all neighbours of each other: often they name variants in no particular order.
_FEW = 8


@dataclass(slots=True)
class ConfigVariation:
    """Answers a space's decisions by drawing, by replay, or both.

    answer: `SearchSpace.answer`.
    An old answer is replayed where the question comes up again and knows it; everything else is drawn, so
    conditional decisions need no special care.
    """

    answer: Callable[[Choose], Config]
    rng: np.random.Generator
    decisions: dict[str, Decision] = field(default_factory=dict)
    _places: dict[str, dict[Answer, int]] = field(default_factory=dict, repr=False)
    _draws: list[float] = field(default_factory=list, repr=False)

    def random(self) -> Config:
        """Every answer drawn uniformly."""
        return self.answer(self._draw)

    def replay(self, parent: Mapping[str, Answer], changes: Mapping[str, Answer] | None = None) -> Config:
        """The parent's answers with some replaced."""
        answers = {**parent, **(changes or {})}

        def choose(decision: Decision) -> int:
            place = self._place(decision, answers.get(decision.name))
            return self._draw(decision) if place is None else place

        return self.answer(choose)

    def mutate(self, parent: Config) -> Config:
        """One or a few decisions redrawn: with even odds close to the old answer, or anywhere."""
        names = [name for name, _ in parent]
        if not names:
            return self.random()
        count = 1 + int(self._next() < 0.5) + int(self._next() < 0.25)
        changed = {names[int(self._next() * len(names))] for _ in range(count)}
        answers = {name: answer for name, answer in parent if name not in changed}
        # Sorted: the order of a set of strings differs from process to process.
        for name in sorted(changed):
            near = self.related(name, parent.by_name[name])
            if near and self._next() < 0.5:
                answers[name] = near[int(self._next() * len(near))]
        return self.replay(answers)

    def cross(self, mother: Config, father: Config) -> Config:
        """Each answer from one parent or the other; what only one of them answers from that one."""
        answers = {**father.by_name, **mother.by_name}
        for name, answer in father:
            if self._next() < 0.5:
                answers[name] = answer
        return self.replay(answers)

    def neighbours(self, parent: Config) -> dict[str, list[Config]]:
        """Every config that differs from the parent in one decision, by a related answer; by that decision's name."""
        return {
            name: [self.replay(parent.by_name, {name: near}) for near in self.related(name, answer)]
            for name, answer in parent
        }

    def related(self, name: str, answer: Answer) -> list[Answer]:
        """The choices closest to an answer: numbers 1, 2, 4, … places away, tiles with one prime factor moved to
        another level, every other one of a few numbers or of words. Empty as long as the decision has never been
        asked."""
        decision = self.decisions.get(name)
        place = None if decision is None else self._place(decision, answer)
        if decision is None or place is None:
            return []
        if isinstance(answer, tuple):
            return [moved for moved in _moved_factors(answer) if moved in self._places[name]]
        if isinstance(answer, str) or len(decision.choices) <= _FEW:
            return [choice for choice in decision.choices if choice != answer]
        steps = [1 << power for power in range((len(decision.choices) - 1).bit_length())]
        places = [place + sign * step for step in steps for sign in (-1, 1)]
        return [decision.choices[near] for near in places if 0 <= near < len(decision.choices)]

    def learn(self, configs: Collection[Config]) -> None:
        """Replays these configs, so that `decisions` holds their decisions."""
        for config in configs:
            if not self.decisions.keys() >= config.by_name.keys():
                self.replay(config.by_name)

    def _place(self, decision: Decision, answer: Answer | None) -> int | None:
        places = self._places.get(decision.name)
        if places is None:
            self.decisions[decision.name] = decision
            places = self._places[decision.name] = {
                choice: place for place, choice in enumerate(decision.choices)
            }
        return None if answer is None else places.get(answer)

    def _draw(self, decision: Decision) -> int:
        if decision.name not in self.decisions:
            self._place(decision, None)
        return int(self._next() * len(decision.choices))

    def _next(self) -> float:
        if not self._draws:
            self._draws = self.rng.random(_DRAWS).tolist()
        return self._draws.pop()


def _moved_factors(factors: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every tiling that comes from moving one prime factor from one level to another."""
    found = []
    for source, factor in enumerate(factors):
        for prime in _primes(factor):
            for goal in range(len(factors)):
                if goal != source:
                    moved = list(factors)
                    moved[source] //= prime
                    moved[goal] *= prime
                    found.append(tuple(moved))
    return found


def _primes(number: int) -> list[int]:
    """The different prime factors, smallest first."""
    found, prime = [], 2
    while number > 1:
        if number % prime == 0:
            found.append(prime)
            while number % prime == 0:
                number //= prime
        prime += 1 if prime * prime <= number else max(number - prime, 1)
    return found
