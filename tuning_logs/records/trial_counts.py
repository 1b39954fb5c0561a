"""Trial counts of one task on one device, by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.task import TuningTask
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import FailureKind


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """counts: how many records of each status (`ok`, `censored`, or the kind of failure), none of zero."""

    task: TuningTask
    device: DeviceFingerprint
    counts: Mapping[str, int]

    @property
    def trials(self) -> int:
        """All records."""
        return sum(self.counts.values())

    @property
    def failures(self) -> dict[str, int]:
        """The number of records of each kind of failure."""
        return {kind.value: self.counts[kind.value] for kind in FailureKind if kind.value in self.counts}
