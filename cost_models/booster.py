"""XGBoost's boosters as the cost models use them: on one thread, kept with a card (imports XGBoost)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import Misuse

if TYPE_CHECKING:
    import xgboost

_DIGEST = "trees_sha256"


class Booster:
    """A trained booster with its card: what it is and what it was trained on, as plain JSON values."""

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
        """Trains `rounds` trees on (n, d) features and (n,) labels; groups (n,), if any, must be sorted."""
        import xgboost  # takes a second to load, scikit-learn with it, and a first measurement needs neither

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
        """Writes one file: the card as a line of JSON, then the trees in XGBoost's binary format."""
        trees = bytes(self._trees.save_raw("ubj"))
        card = {**self.card, _DIGEST: hashlib.sha256(trees).hexdigest()}
        path.write_bytes(json.dumps(card, sort_keys=True).encode() + b"\n" + trees)

    @classmethod
    def load(cls, path: Path, kind: str) -> Booster:
        """Reads what `save` wrote; nothing in the file is executed.

        Raises Misuse where the file is missing, torn, no cost model, or another kind of one.
        """
        import xgboost  # as above

        if not path.is_file():
            raise Misuse(f"expected a cost model at {path}, found no such file; train one first")
        head, _, trees = path.read_bytes().partition(b"\n")
        try:
            card = json.loads(head)
        except ValueError:
            card = None
        # XGBoost crashes the process on torn input, so it only gets to see what is known to be whole.
        if not isinstance(card, dict) or card.pop(_DIGEST, "") != hashlib.sha256(trees).hexdigest():
            raise Misuse(f"{path} is not a whole cost model, or was changed; train or copy it again")
        if card.get("kind") != kind:
            raise Misuse(f"expected a model of kind {kind!r} in {path}, found {card.get('kind')!r}")
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(trees))
        return cls(booster, card)
