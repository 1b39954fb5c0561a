"""Records of a log by what people write down: a task, a config, or both."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import Misuse
from search_spaces.task import TuningTask
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.best_record import pooled

# Shorter beginnings of keys say next to nothing.
_LEAST_CHARS = 4


def find_record(
    store: RecordStore, text: str, device: DeviceFingerprint, targets: Sequence[str] = ()
) -> TuningRecord:
    """The record that a text names on a device, with the repeats of all records of its config.

    text: `TASK` for the task's best config, `TASK/CONFIG`, or `CONFIG` alone, which reads the whole log; a task is its
    name or the beginning of its key, a config the beginning of its key. targets: those that count, by default all.
    Raises Misuse where the log has none, or several.
    """
    task_text, _, config_text = text.partition("/")
    tasks = [one for one in store.tasks() if not targets or str(one.target) in targets]
    named = [one for one in tasks if _is_named(one, task_text)]
    if not named and not config_text:
        return _of_config(store, tasks, text, device)
    if len(named) != 1:
        raise Misuse(
            f"expected the name or the beginning of the key of one task, found {task_text!r}, which {len(named)} of "
            f"the log's {len(tasks)} tasks have; autotune log best lists them",
            code="AT211",
        )
    if config_text:
        return _of_config(store, named, config_text, device)
    best = store.best(named[0], device)
    if best is None:
        raise Misuse(
            f"expected a config of {named[0].name} that ran on {device.key} ({device.name}), found none in the log",
            code="AT211",
        )
    return best


def _is_named(task: TuningTask, text: str) -> bool:
    return task.name == text or (len(text) >= _LEAST_CHARS and task.key.startswith(text))


def _of_config(
    store: RecordStore, tasks: Sequence[TuningTask], text: str, device: DeviceFingerprint
) -> TuningRecord:
    found: dict[tuple[TuningTask, str], list[TuningRecord]] = {}
    for task in tasks if len(text) >= _LEAST_CHARS else ():
        for record in store.where(task=task, device=device):
            if record.config.key.startswith(text) and isinstance(record.measurement, Timing):
                found.setdefault((task, record.config.key), []).append(record)
    if len(found) != 1:
        raise Misuse(
            f"expected a task of the log, or the beginning of the key of one config that ran on {device.key} "
            f"({device.name}); found {text!r}, which {len(found)} of them have",
            code="AT211",
        )
    [records] = found.values()
    return pooled(records)
