"""XGBoost boosters on one thread, with a card (imports XGBoost)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.tree_check import checked_trees
from search_spaces.errors import AutotuneError, Misuse

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """The training data of a booster: (n, d) features and (n,) labels.

    groups:  (n,), sorted; pairs are ranked within a group.
    weights: (n,) of the rows.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.float64]
    groups: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class BoosterSettings:
    """XGBoost's parameters and the number of trees."""

    params: Mapping[str, Any]
    num_boost_round: int


def small_regression(num_boost_round: int, max_depth: int, seed: int) -> BoosterSettings:
    """Settings of few, shallow trees for squared errors, which are fitted for one proposal and never saved."""
    params = {
        "objective": "reg:squarederror",
        "max_depth": max_depth,
        "eta": 0.2,
        "tree_method": "hist",
        "seed": seed,
    }
    return BoosterSettings(params, num_boost_round)


class Booster:
    """A trained booster with its card: its kind, settings and training data as plain JSON values."""

    def __init__(self, trees: xgboost.Booster, card: Mapping[str, Any]) -> None:
        self._trees = trees
        self.card = dict(card)

    @classmethod
    def train(
        cls,
        rows: TrainingRows,
        settings: BoosterSettings,
        card: Mapping[str, Any],
        source: Booster | None = None,
    ) -> Booster:
        """Trains on one thread.

        card:   of the new booster; its numbers of columns and rows are added.
        source: a booster whose trees are kept; the new trees correct its predictions.
        """
        xgboost = _loaded_xgboost()
        matrix = xgboost.DMatrix(
            rows.features, label=rows.labels, weight=rows.weights, qid=rows.groups, nthread=1
        )
        trees = xgboost.train(
            {"nthread": 1, "verbosity": 0, **settings.params},
            matrix,
            num_boost_round=settings.num_boost_round,
            xgb_model=None if source is None else source._trees,
        )
        return cls(trees, {**card, "columns": rows.features.shape[1], "rows": len(rows.labels)})

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) raw predictions. Raises Misuse where the number of columns is not that of training."""
        if features.shape[1] != self.card["columns"]:
            raise Misuse(
                f"the model was trained on {self.card['columns']} features; found {features.shape[1]}",
                code="AT303",
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
        """A booster from `to_bytes`, for as many features as the card says.

        Raises ValueError where the bytes are none: XGBoost itself would crash, or never end.
        """
        checked = checked_trees(trees, card["columns"])
        xgboost = _loaded_xgboost()
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(checked))
        # Some parameters are looked at in the first prediction only; XGBoost's errors are ValueErrors.
        booster.inplace_predict(np.zeros((1, card["columns"]), dtype=np.float32))
        return cls(booster, card)


def _loaded_xgboost() -> Any:
    """XGBoost: it takes a second to load, scikit-learn with it, and a first measurement needs neither.

    Raises AutotuneError where the interpreter leaves docstrings out, which XGBoost edits.
    """
    if sys.flags.optimize > 1:
        raise AutotuneError(
            "expected an interpreter that keeps docstrings, without which XGBoost does not load; found -OO or "
            "PYTHONOPTIMIZE=2. Start Python without it",
            code="AT811",
        )
    import xgboost

    return xgboost
