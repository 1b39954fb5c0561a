"""Bounds of the numbers of a job, checked where they are given: samplers, clocks and counters fail beyond them."""

from __future__ import annotations

from typing import Final

MOST_TRIALS: Final = 1_000_000_000
MOST_BATCH: Final = 100_000
#: Of one task.
MOST_ROUNDS_AT_ONCE: Final = 2
#: Ten years.
MOST_SECS: Final = 3650 * 86400.0
#: NumPy, Optuna and XGBoost take no other seeds than 0 to this one.
MOST_SEED: Final = 2**32 - 1
