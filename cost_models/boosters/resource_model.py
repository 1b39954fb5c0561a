"""A model of the GPU resources of kernels that are not compiled yet: registers, spills, shared memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, TrainingRows, small_regression
from search_spaces.errors import Misuse
from tuning_logs.records.gpu_resources import GpuResources

_COLUMNS = 3


def resource_columns(resources: Sequence[GpuResources | None]) -> NDArray[np.float32]:
    """(n, 3) float32: log2 of one more than registers, spilled bytes and shared bytes; NaN where they are unknown.

    Registers bound the occupancy: a multiprocessor keeps 65,536 of them for all its threads.
    """
    rows = [
        (np.nan,) * _COLUMNS if one is None else (one.registers, one.spill_bytes, one.shared_bytes)
        for one in resources
    ]
    return np.log2(1 + np.array(rows, dtype=np.float32).reshape(len(rows), _COLUMNS))


@dataclass(slots=True)
class ResourceModel:
    """Boosted trees that regress each column of `resource_columns`; fitted for one proposal and never saved."""

    seed: int = 0
    num_boost_round: int = 30
    max_depth: int = 4
    _boosters: list[tuple[Booster, float]] = field(default_factory=list, repr=False)

    def fit(self, features: NDArray[np.float32], resources: NDArray[np.float32]) -> Self:
        """Fits to (n, d) features and (n, 3) resources; rows of NaN are left out. Raises Misuse where none is left."""
        known = ~np.isnan(resources).any(axis=1)
        if not known.any():
            raise Misuse("expected the resources of at least one kernel; found none", code="AT308")
        settings = small_regression(self.num_boost_round, self.max_depth, self.seed)
        self._boosters = []
        for column in resources[known].T.astype(np.float64):
            mean = float(column.mean())
            rows = TrainingRows(features[known], column - mean)
            self._boosters.append((Booster.train(rows, settings, card={}), mean))
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3) expected resources. Raises Misuse before the first fit."""
        if not self._boosters:
            raise Misuse("the model of resources has not been fitted: call fit first", code="AT306")
        found = [booster.predict(features) + mean for booster, mean in self._boosters]
        return np.stack(found, axis=1).astype(np.float32)
