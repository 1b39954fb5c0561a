"""What got faster or slower from one log to another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from search_spaces.task import TuningTask
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord, key_of


class Change(StrEnum):
    """What became of a task's best time; `same`: the difference is within what repeats scatter."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    GAINED = "only in the second"
    LOST = "only in the first"


@dataclass(frozen=True, slots=True)
class Difference:
    """The best records of a task on a device in two logs; None where a log has none that ran."""

    task: TuningTask
    device: DeviceFingerprint
    before: TuningRecord | None
    after: TuningRecord | None

    @property
    def change(self) -> Change:
        """What became of it."""
        if self.before is None or self.after is None:
            return Change.GAINED if self.before is None else Change.LOST
        if is_beyond_noise(self.after, self.before):
            return Change.FASTER
        return Change.SLOWER if is_beyond_noise(self.before, self.after) else Change.SAME

    @property
    def speedup(self) -> float | None:
        """Before over after: 2.0 is twice as fast; None where one of the two is missing."""
        return None if self.before is None or self.after is None else self.before.secs / self.after.secs


def differences(first: RecordStore, second: RecordStore) -> list[Difference]:
    """Every task and device on which a config ran in either log, in order of first appearance."""
    pairs: dict[tuple[tuple[str, str], str], tuple[TuningTask, DeviceFingerprint]] = {}
    for store in (first, second):
        for trial_counts in store.trial_counts():
            pairs.setdefault(
                (key_of(trial_counts.task), trial_counts.device.key), (trial_counts.task, trial_counts.device)
            )
    found = [
        Difference(task, device, first.best(task, device), second.best(task, device))
        for task, device in pairs.values()
    ]
    return [each for each in found if each.before is not None or each.after is not None]


def is_beyond_noise(fast: TuningRecord, slow: TuningRecord) -> bool:
    """Whether one ran faster than the other by more than their repeats scatter: the upper quartile of the faster
    one's is below the lower quartile of the other's. False where either failed."""
    if not isinstance(fast.measurement, Timing) or not isinstance(slow.measurement, Timing):
        return False
    return bool(
        np.quantile(fast.measurement.usual_secs, 0.75) < np.quantile(slow.measurement.usual_secs, 0.25)
    )
