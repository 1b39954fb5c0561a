"""A surrogate of the objective: cost models that rank configs that were not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from autotune.search.observations import Observations
from cost_models.boosters.build_time_model import BuildTimeModel
from cost_models.boosters.resource_model import ResourceModel, resource_columns
from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.cost_model import CostModel
from cost_models.dataset import Dataset
from cost_models.features.config_features import ConfigFeatures
from cost_models.scores import ranks
from search_spaces.config import Config
from search_spaces.decision import Decision

#: Scores (n,) of configs by a pretrained model, higher is faster; no schedule is built for them.
Prior = Callable[[Sequence[Config]], NDArray[np.float64]]

#: The latest illegal configs are enough to know what is illegal; a GPU's space has them by the ten thousand.
_ILLEGAL_KEPT = 2000
#: With fewer configs that ran, what they add to a prior is noise.
_LEAST_TO_LEARN = 6
#: What one e-fold of build time weighs, in standard deviations of the scores. Replays of logs reached the same
#: latency with 6 to 15 % less time at a quarter, with no more trials.
_BUILD_TIME_WEIGHT = 0.25


@dataclass(slots=True)
class Surrogate:
    """A ranker and a validity model over the configs' own features; the predictions for each config are cached.

    On GPUs both also see what kernels occupy: as the compiler reported it, or is expected to.

    ranker:      with a prior, its scores are the ranker's last column; None where the prior alone scores.
    valid_above: the probability from which a config counts as valid.
    build_time_weight: subtracted from a score for each e-fold of the expected build time.
    resources:   of GPU kernels, None where no compiler reported any.
    """

    features: ConfigFeatures
    ranker: CostModel | None
    validity: ValidityModel
    valid_above: float
    prior: Prior | None = None
    build_time: BuildTimeModel | None = None
    build_time_weight: float = 0.0
    resources: ResourceModel | None = None
    _predicted: dict[Config, tuple[bool, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        observations: Observations,
        decisions: Iterable[Decision],
        seed: int,
        valid_above: float = 0.5,
        prior: Prior | None = None,
    ) -> Self:
        """Fits the ranker to the losses of configs that ran, the validity model to failures and illegal configs, and a
        model of build times.

        prior: one more column for the ranker, which is all there is until a few configs ran.
        """
        features = ConfigFeatures(decisions)
        answers = features.matrix(observations.measured)
        resources = None
        illegal = features.matrix(observations.illegal[-_ILLEGAL_KEPT:])
        measured = answers
        if any(one is not None for one in observations.resources):
            occupied = resource_columns(observations.resources)
            resources = ResourceModel(seed=seed).fit(answers, occupied)
            measured = np.concatenate([answers, occupied], axis=1)
            illegal = np.concatenate([illegal, resources.predict(illegal)], axis=1)
        losses = np.array(observations.losses, dtype=np.float64)
        ran = np.isfinite(losses)
        ranker, build_time, weight = None, None, 0.0
        if prior is None or ran.sum() >= _LEAST_TO_LEARN:
            columns = measured if prior is None else _with(measured, prior(observations.measured))
            ranker = XGBoostCostModel(seed=seed).fit(
                Dataset(columns[ran], ranks(losses[ran]), np.zeros(int(ran.sum()), dtype=np.int64))
            )
            if observations.build_secs:
                build_time = BuildTimeModel(seed=seed).fit(measured, np.array(observations.build_secs))
                weight = _BUILD_TIME_WEIGHT * float(ranker.predict(columns[ran]).std())
        outcomes = np.concatenate([ran, np.zeros(len(illegal), dtype=np.bool_)])
        validity = ValidityModel(seed=seed).fit(np.concatenate([measured, illegal]), outcomes)
        return cls(features, ranker, validity, valid_above, prior, build_time, weight, resources)

    def best(self, configs: Sequence[Config], count: int) -> list[Config]:
        """The first `count` in the order of preference: valid before invalid, then by predicted score."""
        self._predict(configs)
        return sorted(configs, key=self._predicted.__getitem__, reverse=True)[:count]

    def _predict(self, configs: Sequence[Config]) -> None:
        new = [config for config in configs if config not in self._predicted]
        if new:
            matrix = self.features.matrix(new)
            if self.resources is not None:
                matrix = np.concatenate([matrix, self.resources.predict(matrix)], axis=1)
            valid = self.validity.predict(matrix) >= self.valid_above
            scores = self._scores(matrix, new)
            self._predicted.update(zip(new, zip(valid.tolist(), scores.tolist(), strict=True), strict=True))

    def _scores(self, matrix: NDArray[np.float32], configs: Sequence[Config]) -> NDArray[np.float64]:
        expected = None if self.prior is None else self.prior(configs)
        if self.ranker is None:
            assert expected is not None
            return expected
        scores = self.ranker.predict(matrix if expected is None else _with(matrix, expected))
        if self.build_time is None:
            return scores
        return scores - self.build_time_weight * self.build_time.predict(matrix)


def _with(matrix: NDArray[np.float32], expected: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.concatenate([matrix, expected[:, None].astype(np.float32)], axis=1)
