"""The cost model of XGBoost trees, by pairwise ranking or by regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, BoosterSettings, TrainingRows
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.boosters.validity_model import ValidityModel
from cost_models.dataset import Dataset
from search_spaces.errors import Misuse

_KIND = "xgboost-cost-model"
_SPEED, _VALIDITY = "speed", "validity"


class Loss(StrEnum):
    """The loss of the trees.

    RANKING:    pairwise: which of two configs of a group is faster. Best within one task (half the evaluations of a
                search on recorded spaces).
    REGRESSION: the square root of the score. Best across tasks, where the scores of other tasks tell how much a
                property of a program costs.
    """

    RANKING = "rank:pairwise"
    REGRESSION = "reg:squarederror"


_Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class _Settings(msgspec.Struct, frozen=True):
    """The part of a card that every model has."""

    seed: int
    rounds: _Count
    columns: _Count
    objective: Loss


@dataclass(slots=True)
class XGBoostCostModel:
    """Boosted trees with an objective; pairs are drawn within groups only.

    card: facts about the training beside the settings, as plain JSON values; saved with the model.
    validity: the probability that a config runs, kept with the model where there is one.
    """

    seed: int = 0
    num_boost_round: int = 100
    learning_rate: float = 0.1
    max_depth: int = 6
    lambdarank_num_pair_per_sample: int = 8
    objective: Loss = Loss.RANKING
    colsample_bytree: float = 0.8
    colsample_bynode: float = 1.0
    min_child_weight: float = 1.0
    card: dict[str, Any] = field(default_factory=dict)
    validity: ValidityModel | None = None
    _booster: Booster | None = field(default=None, repr=False)

    def fit(self, dataset: Dataset) -> Self:
        """Fits to the dataset alone. Raises Misuse where it is empty."""
        self._booster = self._trained(dataset, None)
        return self

    def fit_on(self, source: XGBoostCostModel, dataset: Dataset) -> Self:
        """Keeps the trees of a source model, of any objective, and adds trees that correct it on the dataset."""
        self._booster = self._trained(dataset, source._fitted())
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) scores, higher is faster. Raises Misuse before the first fit."""
        return self._fitted().predict(features)

    def feature_importance(self) -> dict[int, float]:
        """Total gain of each column as a share of all gains, the largest first."""
        return self._fitted().feature_importance()

    def save(self, path: Path) -> None:
        """Writes a cost model file, see `cost_models.boosters.model_file`. Raises Misuse before a fit."""
        booster = self._fitted()
        parts = {_SPEED: booster.to_bytes()}
        if self.validity is not None and (trees := self.validity.to_bytes()) is not None:
            parts[_VALIDITY] = trees
        write_model_file(path, {**self.card, **booster.card}, parts)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a saved model; nothing in it is executed. Raises Misuse where the file is not a whole one."""
        card, parts = read_model_file(path, _KIND)
        try:
            settings = msgspec.convert(card, _Settings)
            columns = settings.columns
            validity = ValidityModel.from_bytes(parts[_VALIDITY], columns) if _VALIDITY in parts else None
            booster = Booster.from_bytes(parts[_SPEED], card)
        except (ValueError, KeyError, msgspec.ValidationError) as error:
            raise Misuse(
                f"expected a cost model in {path} that this package trained, found: {error}; "
                "train or copy it again",
                code="AT302",
            ) from error
        return cls(
            seed=settings.seed,
            num_boost_round=settings.rounds,
            objective=settings.objective,
            card=card,
            validity=validity,
            _booster=booster,
        )

    def _trained(self, dataset: Dataset, source: Booster | None) -> Booster:
        if not len(dataset):
            raise Misuse("a cost model needs at least one row to learn from, found none", code="AT304")
        order = np.argsort(dataset.groups, kind="stable")
        params: dict[str, Any] = {
            "objective": self.objective.value,
            "max_depth": self.max_depth,
            "eta": self.learning_rate,
            "subsample": 0.8,
            "colsample_bytree": self.colsample_bytree,
            "colsample_bynode": self.colsample_bynode,
            "min_child_weight": self.min_child_weight,
            "tree_method": "hist",
            "seed": self.seed,
        }
        ranks = self.objective is Loss.RANKING
        if ranks:
            params["lambdarank_pair_method"] = "mean"
            params["lambdarank_num_pair_per_sample"] = self.lambdarank_num_pair_per_sample
        scores = dataset.scores[order]
        rows = TrainingRows(
            dataset.features[order],
            scores if ranks else np.sqrt(scores),
            dataset.groups[order] if ranks else None,
        )
        card = {
            "kind": _KIND,
            "seed": self.seed,
            "rounds": self.num_boost_round,
            "objective": self.objective.value,
        }
        return Booster.train(rows, BoosterSettings(params, self.num_boost_round), card, source)

    def _fitted(self) -> Booster:
        if self._booster is None:
            raise Misuse("the cost model has not been fitted: call fit(dataset) first", code="AT306")
        return self._booster
