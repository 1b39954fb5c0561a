"""The best few configs of a task on a device, and what all repeats of one config say."""

from __future__ import annotations

from search_spaces.config import Config
from search_spaces.task import TuningTask
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure, FailureKind, Timing
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.best_record import pooled


def ranked(store: RecordStore, task: TuningTask, device: DeviceFingerprint, count: int) -> list[TuningRecord]:
    """One record of each of the best `count` configs: the best with all its repeats, then the fastest record of each
    other config that was never wrong. Fewer where fewer ran."""
    best = store.best(task, device)
    if best is None or count == 1:
        return [best] if best else []
    records = store.where(task=task, device=device)
    wrong = {record.config for record in records if _is_wrong(record)}
    chosen = {best.config: best}
    for record in sorted(records, key=lambda record: record.secs):
        if len(chosen) < count and isinstance(record.measurement, Timing) and record.config not in wrong:
            chosen.setdefault(record.config, record)
    return list(chosen.values())


def with_all_repeats(
    store: RecordStore, task: TuningTask, device: DeviceFingerprint | None, config: Config
) -> TuningRecord | None:
    """The latest record of a config, with the repeats of all of them; None where it never ran."""
    timed = [
        record
        for record in store.where(task=task, device=device)
        if record.config == config and isinstance(record.measurement, Timing)
    ]
    return pooled(timed) if timed else None


def _is_wrong(record: TuningRecord) -> bool:
    return isinstance(record.measurement, Failure) and record.measurement.kind is FailureKind.WRONG_RESULT
