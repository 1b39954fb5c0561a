"""A tuning log as MetaSchedule sees it: a database that is asked for one operator at a time (imports TVM)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule

from search_spaces.config import Config
from search_spaces.errors import IllegalSchedule, Misuse
from search_spaces.modules import tvm_target, workload
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir_space import TensorIRSpace
from tuning_logs.device_fingerprint import DeviceFingerprint
from tuning_logs.log import TuningLog
from tuning_logs.measurement import Failure
from tuning_logs.record import TuningRecord

# Raised in a callback, it comes out of TVM's pass as what it is rather than as a RuntimeError.
tvm_ffi.register_error("Misuse", Misuse)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the log knew about one function: the record that is used, or why there is none.

    task and default (the untouched operator's config) are None for a function of dynamic shape.
    """

    task: TuningTask | None
    default: Config | None
    record: TuningRecord | None
    miss: str = ""


@derived_object
class LogDatabase(meta_schedule.database.PyDatabase):  # type: ignore[misc]
    """Answers MetaSchedule's queries with the log's best record, replayed on the very function asked for.

    lookups holds what was asked and answered so far, by the function's name.
    """

    def __init__(self, log: TuningLog, target: Target, device: DeviceFingerprint | None) -> None:
        super().__init__()
        self.log = log
        self.target = target
        self.device = device
        self.lookups: dict[str, Lookup] = {}

    def query_tuning_record(
        self, mod: tvm.IRModule, target: tvm.target.Target, workload_name: str | None = None
    ) -> Any:
        """The best record as MetaSchedule's own, None where there is none that can be replayed.

        Raises Misuse inside a target other than the one that the database was made for.
        """
        _check_target(tvm_target(self.target), target)
        name = str(workload_name or "main")
        lookup, schedule = self._replay(mod, name)
        self.lookups[name] = lookup
        if schedule is None or lookup.record is None:
            return None
        trace = schedule.trace
        return meta_schedule.database.TuningRecord(
            trace, meta_schedule.database.Workload(mod), [lookup.record.secs], target
        )

    def _replay(self, mod: tvm.IRModule, name: str) -> tuple[Lookup, Any]:
        try:
            task = TuningTask(workload(mod, name), self.target)
        except Misuse as error:
            return Lookup(None, None, None, str(error)), None
        space = TensorIRSpace(task)
        record = self.log.best(task, self.device)
        if record is None:
            return Lookup(task, space.default, None, _why_missing(self.log, task, self.device)), None
        if record.space_version != space.version:
            miss = f"recorded for search space {record.space_version}, this is {space.version}: tune again"
            return Lookup(task, space.default, None, miss), None
        try:
            return Lookup(task, space.default, record), space.apply(record.config).schedule
        except IllegalSchedule as error:
            return Lookup(task, space.default, None, f"its best record cannot be replayed: {error}"), None


def database(log: TuningLog, target: Target, device: DeviceFingerprint | None = None) -> Any:
    """The log as a MetaSchedule database for one target, and one device or any, for an existing TVM build.

    >>> with tvm_target(target), database(log, target):
    ...     module = relax.transform.MetaScheduleApplyDatabase()(module)
    """
    return LogDatabase(log, target, device)


def _check_target(expected: tvm.target.Target, found: tvm.target.Target) -> None:
    if _without_host(expected) != _without_host(found):
        raise Misuse(f"expected a build for the database's target {expected}; found {found}")


def _without_host(target: tvm.target.Target) -> dict[str, str]:
    return {name: str(value) for name, value in target.export().items() if name != "host"}


def _why_missing(log: TuningLog, task: TuningTask, device: DeviceFingerprint | None) -> str:
    failures = [record.measurement for record in log.where(task=task, device=device)]
    if failures:
        kinds = Counter(failure.kind.value for failure in failures if isinstance(failure, Failure))
        histogram = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        return f"none of its {len(failures)} trials ran ({histogram})"
    others = {record.device.name for record in log.where(task=task)}
    if others:
        return f"no record from this device, only from {', '.join(sorted(others))}"
    targets = {str(known.target) for known in log.tasks() if known.key == task.key}
    if targets:
        return f"no record for this target, only for {'; '.join(sorted(targets))}"
    return "no record of this operator"
