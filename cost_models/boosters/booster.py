"""XGBoost boosters on one thread, with a card (imports XGBoost)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import Misuse

if TYPE_CHECKING:
    import xgboost


class Booster:
    """A trained booster with its card: its kind, settings and training data as plain JSON values."""

    def __init__(self, trees: xgboost.Booster, card: Mapping[str, Any]) -> None:
        self._trees = trees
        self.card = dict(card)

    @classmethod
    def train(
        cls,
        features: NDArray[np.float32],
        labels: NDArray[np.float64],
        *,
        params: Mapping[str, Any],
        num_boost_round: int,
        card: Mapping[str, Any],
        groups: NDArray[np.int64] | None = None,
        grown_on: Booster | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Booster:
        """Trains `num_boost_round` trees on (n, d) features and (n,) labels; groups (n,), if any, must be sorted.

        grown_on: the new trees correct what this one says, and stand behind its trees; weights (n,): of the rows.
        """
        import xgboost  # takes a second to load, scikit-learn with it, and a first measurement needs neither

        matrix = xgboost.DMatrix(features, label=labels, weight=weights, qid=groups, nthread=1)
        trees = xgboost.train(
            {"nthread": 1, "verbosity": 0, **params},
            matrix,
            num_boost_round=num_boost_round,
            xgb_model=None if grown_on is None else grown_on._trees,
        )
        return cls(trees, {**card, "columns": features.shape[1], "rows": len(labels)})

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) raw predictions. Raises Misuse where the number of columns is not that of training."""
        if features.shape[1] != self.card["columns"]:
            raise Misuse(
                f"the model was trained on {self.card['columns']} features; found {features.shape[1]}"
            )
        return np.asarray(self._trees.inplace_predict(features), dtype=np.float64)

    def feature_importance(self) -> dict[int, float]:
        """Total gain of each column that a split uses, as a share of all gains, the largest first."""
        found = {
            int(name[1:]): float(gain)
            for name, gain in self._trees.get_score(importance_type="total_gain").items()
        }
        total = sum(found.values()) or 1.0
        return {column: found[column] / total for column in sorted(found, key=lambda each: -found[each])}

    def to_bytes(self) -> bytes:
        """The trees in XGBoost's binary format."""
        return bytes(self._trees.save_raw("ubj"))

    @classmethod
    def from_bytes(cls, trees: bytes, card: Mapping[str, Any]) -> Booster:
        """A booster from `to_bytes`. XGBoost crashes the process on damaged input: check its checksum before."""
        import xgboost  # as above

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(trees))
        return cls(booster, card)
