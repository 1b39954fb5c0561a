"""A classifier of validity: whether a config builds, runs and is correct."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, BoosterSettings, TrainingRows
from search_spaces.errors import Misuse

_KIND = "xgboost-validity"


@dataclass(slots=True)
class ValidityModel:
    """A boosted classifier: the probability that a config is legal, builds, runs and is correct.

    Fitted to one outcome only, or to nothing, it predicts a constant.
    """

    seed: int = 0
    num_boost_round: int = 50
    max_depth: int = 4
    _booster: Booster | None = field(default=None, repr=False)
    _constant: float = 1.0

    def fit(self, features: NDArray[np.float32], valid: NDArray[np.bool_]) -> Self:
        """Fits to (n, d) features and (n,) outcomes alone: earlier fits are forgotten."""
        if len(features) != len(valid):
            raise Misuse(
                f"expected one outcome for each of {len(features)} rows of features; found {len(valid)}",
                code="AT308",
            )
        self._booster, self._constant = None, float(valid.mean()) if len(valid) else 1.0
        if 0 < self._constant < 1:
            params = {
                "objective": "binary:logistic",
                "max_depth": self.max_depth,
                "eta": 0.2,
                "tree_method": "hist",
                "seed": self.seed,
            }
            rows = TrainingRows(features, valid.astype(np.float64))
            card = {"kind": _KIND, "seed": self.seed, "rounds": self.num_boost_round}
            self._booster = Booster.train(rows, BoosterSettings(params, self.num_boost_round), card)
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) probabilities of being valid."""
        if self._booster is None:
            return np.full(len(features), self._constant)
        return self._booster.predict(features)

    def to_bytes(self) -> bytes | None:
        """The trees, None where there are none."""
        return None if self._booster is None else self._booster.to_bytes()

    @classmethod
    def from_bytes(cls, trees: bytes, columns: int) -> Self:
        """A model from `to_bytes`, for that many features. Raises ValueError where the bytes are none."""
        return cls(_booster=Booster.from_bytes(trees, {"kind": _KIND, "columns": columns}))
