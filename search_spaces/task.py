"""One thing to tune: an operator on a target."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.target import Target
from search_spaces.workload import Workload


@dataclass(frozen=True, slots=True)
class TuningTask:
    """A workload to be tuned for a target; weight is how often one run of the model calls it.

    Weight 0 is of another form of an operator, which is measured to choose by, and not searched.
    """

    workload: Workload
    target: Target
    weight: int = 1

    @property
    def key(self) -> str:
        """The workload's key. Records are looked up by this key together with the target and the device."""
        return self.workload.key

    @property
    def name(self) -> str:
        """The workload's name, for people."""
        return self.workload.name
