"""Optuna's distributions as a search space, so that one inner search serves programs and any other objective
(imports Optuna)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.config import Config
from search_spaces.decision import Answer, Choose, Decision

#: A range with more values than this is cut into as many cells; values are drawn within the cell.
_CELLS = 4096


class DistributionSpace:
    """One decision per parameter, in the order of their names; all are always asked.

    Numbers are their own answers, as long as there are few; wide and continuous ranges answer with a cell
    (logarithmic where the distribution is), categories with their place and text.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self._axes = {name: _axis(distributions[name]) for name in sorted(distributions)}
        self._decisions = [Decision(name, axis.choices) for name, axis in self._axes.items()]

    def answer(self, choose: Choose) -> Config:
        """Asks for every parameter."""
        return Config(
            tuple((decision.name, decision.choices[choose(decision)]) for decision in self._decisions)
        )

    def config(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Config:
        """The config of a trial's params. A parameter that was not asked for, or whose value lies outside what the
        space offers now, is left out.

        distributions: those that the params were drawn from.
        """
        answers = []
        for name, axis in self._axes.items():
            if name in params and type(distributions[name]) is type(axis.distribution):
                answer = axis.answer(params[name])
                if answer is not None:
                    answers.append((name, answer))
        return Config(tuple(answers))

    def params(self, config: Config, rng: np.random.Generator) -> dict[str, Any]:
        """What a trial is given for the config; the generator places the value within a cell."""
        return {name: self._axes[name].value(answer, rng) for name, answer in config}


class _Axis(Protocol):
    @property
    def distribution(self) -> BaseDistribution: ...

    @property
    def choices(self) -> tuple[Answer, ...]: ...

    def answer(self, value: Any) -> Answer | None: ...

    def value(self, answer: Answer, rng: np.random.Generator) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Listed:
    """Every value is a choice."""

    distribution: BaseDistribution
    choices: tuple[Answer, ...]
    values: tuple[Any, ...]

    def answer(self, value: Any) -> Answer | None:
        for choice, known in zip(self.choices, self.values, strict=True):
            if known is value or (type(known) is type(value) and known == value):
                return choice
        return None

    def value(self, answer: Answer, _rng: np.random.Generator) -> Any:
        return self.values[self.choices.index(answer)]


@dataclass(frozen=True, slots=True)
class _Stepped:
    """low, low + step, …: numbered by steps, or named by the number itself where that is whole."""

    distribution: FloatDistribution | IntDistribution
    choices: tuple[Answer, ...]
    step: float

    def answer(self, value: Any) -> Answer | None:
        place = round((value - self.distribution.low) / self.step)
        return self.choices[place] if 0 <= place < len(self.choices) else None

    def value(self, answer: Answer, _rng: np.random.Generator) -> Any:
        if isinstance(self.distribution, IntDistribution):
            return answer
        return min(self.distribution.low + self.choices.index(answer) * self.step, self.distribution.high)


@dataclass(frozen=True, slots=True)
class _Cells:
    """A wide or continuous range in cells of equal width, of equal ratio where it is logarithmic."""

    distribution: FloatDistribution | IntDistribution
    choices: tuple[Answer, ...] = tuple(range(_CELLS))

    def answer(self, value: Any) -> Answer | None:
        low, high = self.distribution.low, self.distribution.high
        if not low <= value <= high:
            return None
        if self.distribution.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return min(int((value - low) / (high - low) * _CELLS), _CELLS - 1)

    def value(self, answer: Answer, rng: np.random.Generator) -> Any:
        assert isinstance(answer, int)
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        share = (answer + float(rng.random())) / _CELLS
        if self.distribution.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        if step is not None:
            value = low + round((value - low) / step) * step
        value = min(max(value, low), high)
        return int(value) if isinstance(self.distribution, IntDistribution) else float(value)


def _axis(distribution: BaseDistribution) -> _Axis:
    if isinstance(distribution, CategoricalDistribution):
        names = tuple(f"{place}: {choice!r}" for place, choice in enumerate(distribution.choices))
        return _Listed(distribution, names, tuple(distribution.choices))
    if isinstance(distribution, IntDistribution):
        numbers = range(distribution.low, distribution.high + 1, distribution.step)
        # A log range has no steps but those of whole numbers, so it may be listed just the same.
        return (
            _Stepped(distribution, tuple(numbers), distribution.step)
            if len(numbers) <= _CELLS
            else _Cells(distribution)
        )
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        steps = round((distribution.high - distribution.low) / distribution.step) + 1
        if steps <= _CELLS:
            return _Stepped(distribution, tuple(range(steps)), distribution.step)
    return _Cells(distribution)
