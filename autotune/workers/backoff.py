"""Exponential backoff; the standard library alone, for boards as well."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Beyond so many doublings a pause is longer than anybody waits, and 2.0 ** 1024 is an error.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds that double with each failure in a row, up to a longest one."""

    first_secs: float
    longest_secs: float = math.inf

    def pause_secs(self, failures: int) -> float:
        """The pause after so many failures in a row, at least one."""
        return min(self.first_secs * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.longest_secs)
