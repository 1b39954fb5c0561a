"""XGBoost's boosters as the cost models use them: trained on one thread, kept with their card (imports XGBoost)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from search_spaces.errors import Misuse

_CARD = "card"


class Booster:
    """A trained booster together with its card: what it is and what it was trained for, as plain JSON values."""

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
        rounds: int,
        card: Mapping[str, Any],
        groups: NDArray[np.int64] | None = None,
    ) -> Booster:
        """Trains `rounds` trees on (n, d) features and (n,) labels; groups (n,), where given, must be sorted."""
        matrix = xgboost.DMatrix(features, label=labels, qid=groups, nthread=1)
        trees = xgboost.train({"nthread": 1, "verbosity": 0, **params}, matrix, num_boost_round=rounds)
        return cls(trees, {**card, "columns": features.shape[1], "rows": len(labels)})

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) raw predictions. Raises Misuse where the number of columns is not that of training."""
        if features.shape[1] != self.card["columns"]:
            raise Misuse(
                f"the model was trained on {self.card['columns']} features; found {features.shape[1]}"
            )
        return np.asarray(self._trees.inplace_predict(features), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Writes XGBoost's own binary format (`.ubj`) with the card in it."""
        self._trees.set_attr(**{_CARD: json.dumps(self.card, sort_keys=True)})
        path.write_bytes(bytes(self._trees.save_raw("ubj")))

    @classmethod
    def load(cls, path: Path, kind: str) -> Booster:
        """Reads what `save` wrote; nothing in the file is executed.

        Raises Misuse where the file is missing, torn, not XGBoost's, or another kind of model.
        """
        if not path.is_file():
            raise Misuse(f"expected a cost model at {path}, found no such file; train one first")
        trees = xgboost.Booster({"nthread": 1})
        try:
            trees.load_model(bytearray(path.read_bytes()))
            card = json.loads(trees.attr(_CARD) or "null")
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise Misuse(
                f"{path} is not a whole cost model in XGBoost's format; train or copy it again"
            ) from error
        if not isinstance(card, dict) or card.get("kind") != kind:
            found = card.get("kind") if isinstance(card, dict) else "no card"
            raise Misuse(f"expected a model of kind {kind!r} in {path}, found {found!r}")
        return cls(trees, card)
