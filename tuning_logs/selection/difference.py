"""Differences between two logs: which tasks got faster or slower."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from search_spaces.task import TuningTask
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import TuningRecord, key_of
from tuning_logs.selection.significance import is_beyond_noise


class Change(StrEnum):
    """The change of a task's best time; `same`: within the noise of the repeats."""

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
        """The comparison of the best times, beyond the noise of their repeats."""
        if self.before is None or self.after is None:
            return Change.GAINED if self.before is None else Change.LOST
        before, after = self.before.measurement, self.after.measurement
        if is_beyond_noise(after, before):
            return Change.FASTER
        return Change.SLOWER if is_beyond_noise(before, after) else Change.SAME

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
