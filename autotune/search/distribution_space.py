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


class DistributionSpace:
    """One decision per parameter, in the order of their names; all are always asked.

    Numbers are their own answers as long as there are no more than `cells`; wider and continuous ranges are cut
    into that many cells (of equal ratio where the distribution is logarithmic) and answer with the cell. Few cells
    make a search look around, many let it settle. Categories answer with their place and text.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], cells: int) -> None:
        self._axes = {name: _axis(distributions[name], cells) for name in sorted(distributions)}
        self._decisions = [Decision(name, axis.choices) for name, axis in self._axes.items()]

    def answer(self, choose: Choose) -> Config:
        """Asks for every parameter."""
        return Config(
            tuple((decision.name, decision.choices[choose(decision)]) for decision in self._decisions)
        )

    def config(self, params: Mapping[str, Any]) -> Config:
        """The config of a trial's params. A parameter that was not asked for, or whose value is not among those
        that the space offers now, is left out."""
        answers = []
        for name, axis in self._axes.items():
            answer = axis.answer(params[name]) if name in params else None
            if answer is not None:
                answers.append((name, answer))
        return Config(tuple(answers))

    def params(self, config: Config, rng: np.random.Generator) -> dict[str, Any]:
        """The parameters of a trial for the config; the generator places the value within a cell."""
        return {name: self._axes[name].value(answer, rng) for name, answer in config}


class _Axis(Protocol):
    @property
    def choices(self) -> tuple[Answer, ...]: ...

    def answer(self, value: Any) -> Answer | None: ...

    def value(self, answer: Answer, rng: np.random.Generator) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Categories:
    """Every value is a choice, named by its place and text, because values may be of any kind."""

    distribution: CategoricalDistribution
    choices: tuple[str, ...]

    def answer(self, value: Any) -> Answer | None:
        try:
            return self.choices[int(self.distribution.to_internal_repr(value))]
        except ValueError:
            return None

    def value(self, answer: Answer, _rng: np.random.Generator) -> Any:
        return self.distribution.choices[self.choices.index(str(answer))]


@dataclass(frozen=True, slots=True)
class _Steps:
    """low, low + step, …: whole numbers answer with themselves, others with the number of the step."""

    distribution: FloatDistribution | IntDistribution
    choices: tuple[int, ...]
    step: float

    def answer(self, value: Any) -> Answer | None:
        if not isinstance(value, int | float):
            return None
        place = round((value - self.distribution.low) / self.step)
        return self.choices[place] if 0 <= place < len(self.choices) else None

    def value(self, answer: Answer, _rng: np.random.Generator) -> Any:
        assert isinstance(answer, int)
        if isinstance(self.distribution, IntDistribution):
            return answer
        return min(self.distribution.low + answer * self.step, self.distribution.high)


@dataclass(frozen=True, slots=True)
class _Cells:
    """A wide or continuous range in cells of equal width, or of equal ratio where it is logarithmic."""

    distribution: FloatDistribution | IntDistribution
    choices: tuple[int, ...]

    def answer(self, value: Any) -> Answer | None:
        low, high = self.distribution.low, self.distribution.high
        if not isinstance(value, int | float) or not low <= value <= high:
            return None
        if self.distribution.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return min(int((value - low) / (high - low) * len(self.choices)), len(self.choices) - 1)

    def value(self, answer: Answer, rng: np.random.Generator) -> Any:
        assert isinstance(answer, int)
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        share = (answer + float(rng.random())) / len(self.choices)
        value = low * (high / low) ** share if self.distribution.log else low + share * (high - low)
        if step is not None:
            value = low + round((value - low) / step) * step
        value = min(max(value, low), high)
        return int(value) if isinstance(self.distribution, IntDistribution) else float(value)


def _axis(distribution: BaseDistribution, cells: int) -> _Axis:
    if isinstance(distribution, CategoricalDistribution):
        names = tuple(f"{place}: {choice!r}" for place, choice in enumerate(distribution.choices))
        return _Categories(distribution, names)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is not None:
        steps = round((distribution.high - distribution.low) / distribution.step) + 1
        if isinstance(distribution, IntDistribution) and steps <= cells:
            numbers = tuple(range(distribution.low, distribution.high + 1, distribution.step))
            return _Steps(distribution, numbers, distribution.step)
        if steps <= cells:
            return _Steps(distribution, tuple(range(steps)), distribution.step)
    return _Cells(distribution, tuple(range(cells)))
