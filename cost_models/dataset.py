"""What a cost model learns from: features of configs, and how they scored among their likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cost_models.scores import scores_within
from search_spaces.errors import Misuse
from tuning_logs.records.record import TuningRecord

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
            raise Misuse(f"features must be a matrix, one row per config; found shape {self.features.shape}")
        rows = self.features.shape[0]
        if self.scores.shape != (rows,) or self.groups.shape != (rows,):
            raise Misuse(
                f"every one of the {rows} rows of features needs one score and one group; "
                f"found shapes {self.scores.shape} and {self.groups.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def from_records(cls, records: Sequence[TuningRecord], features: NDArray[np.float32]) -> Dataset:
        """Scores the records of each (task, target, device) against the fastest among them.

        features: (n, d), row i belonging to records[i].
        """
        if len(features) != len(records):
            raise Misuse(
                f"expected one row of features for each of {len(records)} records; found {len(features)}"
            )
        numbers: dict[tuple[str, str, str], int] = {}
        groups = np.array(
            [numbers.setdefault(record.comparable_key, len(numbers)) for record in records], dtype=np.int64
        )
        secs = np.array([record.secs for record in records], dtype=np.float64)
        return cls.scored(features, secs, groups)

    @classmethod
    def scored(
        cls, features: NDArray[np.float32], secs: NDArray[np.float64], groups: NDArray[np.int64]
    ) -> Dataset:
        """Scores (n,) seconds, infinite for failures, against the fastest of their group."""
        return cls(np.asarray(features, dtype=np.float32), scores_within(secs, groups), groups)

    @classmethod
    def of(cls, table: RecordTable) -> Dataset:
        """The rows of a table, with their scores."""
        return cls(table.features, table.scores, table.groups)

    @classmethod
    def from_log(cls, *logs: str | Path, processes: int = 1) -> Dataset:
        """Every config in the logs (paths or URLs) with the features of its program, cached beside each log.

        Raises Misuse as `RecordTable.read` does.
        """
        from cost_models.record_table import (
            RecordTable,
        )  # loads TVM, which takes a second that others need not wait

        return cls.of(RecordTable.read(logs, processes))
