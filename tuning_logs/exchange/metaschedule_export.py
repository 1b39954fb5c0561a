"""A tuning log as MetaSchedule's own database files, for builds that know nothing of this package (imports TVM)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tvm.s_tir import meta_schedule

from search_spaces.errors import AutotuneError, IllegalSchedule, Misuse
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import load, normalize, tvm_target
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.word_instructions import has_word_operator
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Timing
from tuning_logs.records.record import TuningRecord
from tuning_logs.selection.ranking import ranked

WORKLOADS: Final = "database_workload.json"
RECORDS: Final = "database_tuning_record.json"
#: Which device the records of a folder are from, and its target as we write it: MetaSchedule has no place for them.
DEVICE: Final = "device.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """One database: for which target and device, how many records it holds, and what was left out, with reasons."""

    folder: Path
    target: str
    device: DeviceFingerprint
    records: int
    left_out: tuple[str, ...]


def export_metaschedule(log: RecordStore, folder: Path, top: int = 1) -> list[Exported]:
    """Writes one database per target and device into folders of their own, with the best `top` configs of each task.

    `tvm.relax.transform.MetaScheduleApplyDatabase(folder)` reads each as it is. Raises Misuse where a folder holds
    a database already or nothing in the log ran, AutotuneError where a folder cannot be written.
    """
    if top < 1:
        raise Misuse(f"expected to export at least one config of each task; found {top}", code="AT805")
    pairs: dict[tuple[str, str], list[tuple[TuningTask, DeviceFingerprint]]] = {}
    for outcomes in log.trial_counts():
        key = (str(outcomes.task.target), outcomes.device.key)
        pairs.setdefault(key, []).append((outcomes.task, outcomes.device))
    databases = [_export(log, folder, tasks, top) for tasks in pairs.values()]
    if not any(each.records for each in databases):
        raise Misuse(
            "expected a log with records that ran and can be replayed; found none to export", code="AT212"
        )
    return databases


def _export(
    log: RecordStore, folder: Path, tasks: Sequence[tuple[TuningTask, DeviceFingerprint]], top: int
) -> Exported:
    target, device = tasks[0][0].target, tasks[0][1]
    folder = folder / f"{_slug(str(target))}--{_slug(device.name)}-{device.key[:8]}"
    if (folder / RECORDS).exists():
        raise Misuse(
            f"expected a folder without a database, found one in {folder}; name another folder", code="AT208"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"name": device.name, "facts": dict(device.facts), "target": str(target)}
        (folder / DEVICE).write_text(json.dumps(facts, indent=2) + "\n")
        database = meta_schedule.database.JSONDatabase(work_dir=str(folder))
    except (OSError, RuntimeError) as error:
        raise AutotuneError(
            f"expected to write a database into {folder}, found: {error}", code="AT803"
        ) from error
    left_out: list[str] = []
    for task, _ in tasks:
        _commit(database, task, ranked(log, task, device, top), left_out)
    return Exported(folder, str(target), device, len(database), tuple(left_out))


def _commit(database: Any, task: TuningTask, records: Sequence[TuningRecord], left_out: list[str]) -> None:
    module = normalize(load(task.workload.module))
    if has_word_operator(module):
        # A single one would keep TVM from reading the whole database.
        left_out.append(f"{task.name}: quantized products are an operator of this package")
        return
    space = TensorIRSpace(task)
    target = tvm_target(task.target)
    for record in records:
        if record.space_version != space.version:
            left_out.append(f"{task.name}: recorded for search space {record.space_version}")
            continue
        try:
            trace = space.apply(record.config).schedule.trace
        except IllegalSchedule as reason:
            left_out.append(f"{task.name}: {reason}")
            continue
        arguments = meta_schedule.arg_info.ArgInfo.from_prim_func(module["main"])
        assert isinstance(record.measurement, Timing)
        secs = list(record.measurement.usual_secs)
        workload = database.commit_workload(module)
        database.commit_tuning_record(
            meta_schedule.database.TuningRecord(trace, workload, secs, target, arguments)
        )


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:60]
