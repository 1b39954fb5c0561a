"""A model of the GPU resources of kernels that are not compiled yet: registers, spills, shared memory, occupancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, TrainingRows, small_regression
from search_spaces.errors import Misuse
from tuning_logs.records.gpu_resources import GpuResources

_COLUMNS = 4


def resource_columns(resources: Sequence[GpuResources | None]) -> NDArray[np.float32]:
    """(n, 4) float32: log2 of one more than registers, spilled bytes and shared bytes, and the occupancy; NaN where
    they are unknown."""
    rows = [(np.nan,) * _COLUMNS if one is None else _row(one) for one in resources]
    return np.array(rows, dtype=np.float32).reshape(len(rows), _COLUMNS)


def _row(one: GpuResources) -> tuple[float, ...]:
    shared_bytes = one.shared_bytes + (one.dynamic_shared_bytes or 0)
    occupancy = np.nan if one.occupancy is None else one.occupancy
    return (*np.log2([1 + one.registers, 1 + one.spill_bytes, 1 + shared_bytes]), occupancy)


@dataclass(slots=True)
class ResourceModel:
    """Boosted trees that regress each column of `resource_columns`; fitted for one proposal and never saved."""

    seed: int = 0
    num_boost_round: int = 30
    max_depth: int = 4
    _boosters: list[tuple[Booster, float] | None] = field(default_factory=list, repr=False)

    def fit(self, features: NDArray[np.float32], resources: NDArray[np.float32]) -> Self:
        """Fits to (n, d) features and (n, 4) resources; a column's NaN are left out of it. Raises Misuse where no
        registers are known."""
        if np.isnan(resources[:, 0]).all():
            raise Misuse("expected the resources of at least one kernel; found none", code="AT308")
        self._boosters = [self._fitted(features, column) for column in resources.T.astype(np.float64)]
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 4) expected resources, NaN in columns of which none was known. Raises Misuse before the first fit."""
        if not self._boosters:
            raise Misuse("the model of resources has not been fitted: call fit first", code="AT306")
        unknown = np.full(len(features), np.nan)
        found = [unknown if each is None else each[0].predict(features) + each[1] for each in self._boosters]
        return np.stack(found, axis=1).astype(np.float32)

    def _fitted(
        self, features: NDArray[np.float32], column: NDArray[np.float64]
    ) -> tuple[Booster, float] | None:
        known = ~np.isnan(column)
        if not known.any():
            return None
        mean = float(column[known].mean())
        settings = small_regression(self.num_boost_round, self.max_depth, self.seed)
        return Booster.train(TrainingRows(features[known], column[known] - mean), settings, card={}), mean
