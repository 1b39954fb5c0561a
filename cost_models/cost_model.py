"""The interface of a cost model."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cost_models.dataset import Dataset


class CostModel(Protocol):
    """Predicts the speed of configs without running them: scores that compare within a task on a device."""

    def fit(self, dataset: Dataset) -> Self:
        """Fits to the dataset alone: earlier fits are forgotten."""
        ...

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) scores for the (n, d) features; their order means something, their size need not."""
        ...
