"""The cost model of the house: boosted trees that learn which of two configs is the faster one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.booster import Booster
from cost_models.dataset import Dataset
from search_spaces.errors import Misuse

_KIND = "xgboost-ranker"


@dataclass(slots=True)
class XGBoostCostModel:
    """XGBoost with the pairwise ranking objective, pairs drawn within groups only.

    Ranking beats regression on score or on log score for guiding a search (half the evaluations on recorded
    spaces), because it need not explain how slow the slow ones are. Only the order of the scores matters.
    """

    seed: int = 0
    rounds: int = 100
    learning_rate: float = 0.1
    max_depth: int = 6
    pairs_per_row: int = 8
    _booster: Booster | None = field(default=None, repr=False)

    def fit(self, dataset: Dataset) -> Self:
        """Learns from the dataset alone. Raises Misuse where it is empty."""
        if not len(dataset):
            raise Misuse("a cost model needs at least one row to learn from, found none")
        order = np.argsort(dataset.groups, kind="stable")
        params = {
            "objective": "rank:pairwise",
            "lambdarank_pair_method": "mean",
            "lambdarank_num_pair_per_sample": self.pairs_per_row,
            "max_depth": self.max_depth,
            "eta": self.learning_rate,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "tree_method": "hist",
            "seed": self.seed,
        }
        self._booster = Booster.train(
            dataset.features[order],
            dataset.scores[order],
            params=params,
            rounds=self.rounds,
            card={"kind": _KIND, "seed": self.seed, "rounds": self.rounds},
            groups=dataset.groups[order],
        )
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) scores, higher is faster. Raises Misuse before the first fit."""
        return self._fitted().predict(features)

    def save(self, path: Path) -> None:
        """One file in XGBoost's own format, the card inside."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a saved model. Raises Misuse where the file is not one."""
        booster = Booster.load(path, _KIND)
        return cls(seed=booster.card["seed"], rounds=booster.card["rounds"], _booster=booster)

    def _fitted(self) -> Booster:
        if self._booster is None:
            raise Misuse("the cost model has not been fitted: call fit(dataset) first")
        return self._booster
