"""Several cost models as one: what one of them takes for a rule by chance, the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.cost_model import CostModel
from cost_models.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean of its members' scores; they differ in their seeds, so in the rows, columns and pairs that they see.

    A few dozen measurements leave much to chance: Breiman, "Bagging Predictors", Machine Learning 24 (1996).
    """

    members: tuple[CostModel, ...]

    def fit(self, dataset: Dataset) -> Self:
        """Every member learns from the dataset alone. Raises what the members raise."""
        for member in self.members:
            member.fit(dataset)
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) scores, higher is faster."""
        return np.asarray(np.mean([member.predict(features) for member in self.members], axis=0))
