"""A model of build times, so that of two equally promising configs the one that compiles faster is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, TrainingRows, small_regression
from search_spaces.errors import Misuse

# Milliseconds are noise.
_LEAST_SECS = 0.01


@dataclass(slots=True)
class BuildTimeModel:
    """Boosted trees that regress the logarithm of the seconds; fitted for one proposal and never saved."""

    seed: int = 0
    num_boost_round: int = 30
    max_depth: int = 4
    _booster: Booster | None = field(default=None, repr=False)

    def fit(self, features: NDArray[np.float32], build_secs: NDArray[np.float64]) -> Self:
        """Fits to (n, d) features and (n,) seconds. Raises Misuse where there are none, or not as many."""
        if not len(features) or len(features) != len(build_secs):
            raise Misuse(
                f"expected a time for each of {len(features)} rows of features; found {len(build_secs)}",
                code="AT308",
            )
        logs = np.log(np.maximum(build_secs, _LEAST_SECS))
        settings = small_regression(self.num_boost_round, self.max_depth, self.seed)
        rows = TrainingRows(features, logs - logs.mean())
        self._booster = Booster.train(rows, settings, card={})
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) natural logarithms of the seconds over their geometric mean in training: 0.7 is twice as long.

        Raises Misuse before the first fit.
        """
        if self._booster is None:
            raise Misuse("the model of build times has not been fitted: call fit first", code="AT306")
        return self._booster.predict(features)
