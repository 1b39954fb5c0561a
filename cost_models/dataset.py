"""Training data of a cost model: features of configs, and their scores within a group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import Misuse

if TYPE_CHECKING:
    from cost_models.record_table import RecordTable


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of features with scores that compare within a group.

    features: (n, d) float32, NaN where a feature does not apply.
    scores:   (n,) best_secs / secs within the group, so the fastest has 1; 0 for a failure.
    groups:   (n,) int, one number per (task, target, device): scores of different groups do not compare.
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float64]
    groups: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.features.ndim != 2:
            raise Misuse(
                f"features must be a matrix, one row per config; found shape {self.features.shape}",
                code="AT308",
            )
        rows = self.features.shape[0]
        if self.scores.shape != (rows,) or self.groups.shape != (rows,):
            raise Misuse(
                f"every one of the {rows} rows of features needs one score and one group; "
                f"found shapes {self.scores.shape} and {self.groups.shape}",
                code="AT308",
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, table: RecordTable) -> Dataset:
        """The rows of a table, with their scores."""
        return cls(table.features, table.scores, table.groups)

    @classmethod
    def from_log(cls, *logs: str | Path, processes: int = 1) -> Dataset:
        """Every config in the logs (paths or URLs) with the features of its program, cached beside each log.

        Raises Misuse as `RecordTable.read` does.
        """
        # Loads TVM, which takes a second that other callers need not wait.
        from cost_models.record_table import RecordTable

        return cls.of(RecordTable.read(logs, processes))
