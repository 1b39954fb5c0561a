"""A tuning log as MetaSchedule sees it: a database that is asked for one operator at a time (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule

from search_spaces.config import Config
from search_spaces.errors import Misuse
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import tvm_target, workload
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.selection.schedule_choice import Cause, Choice, Miss, OtherDevices, ScheduleChooser

# Raised in a callback, it comes out of TVM's pass as what it is rather than as a RuntimeError.
tvm_ffi.register_error("Misuse", Misuse)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A lookup of one function and the schedule chosen for it; task is None and the choice a miss for a function of
    dynamic shape."""

    task: TuningTask | None
    choice: Choice


@derived_object
class LogDatabase(meta_schedule.database.PyDatabase):  # type: ignore[misc]
    """Answers MetaSchedule's queries with the log's best record, replayed on the very function asked for.

    lookups holds what was asked and answered so far, by the function's name.
    """

    def __init__(self, chooser: ScheduleChooser, target: Target) -> None:
        super().__init__()
        self.chooser = chooser
        self.target = target
        self.lookups: dict[str, Lookup] = {}

    def query_tuning_record(
        self, mod: tvm.IRModule, target: tvm.target.Target, workload_name: str | None = None
    ) -> Any:
        """The best record as MetaSchedule's own, None where there is none that can be replayed.

        Raises Misuse inside a target other than the one that the database was made for.
        """
        _check_target(tvm_target(self.target), target)
        name = str(workload_name or "main")
        lookup = self.lookups[name] = self._lookup(mod, name)
        record, candidate = lookup.choice.record, lookup.choice.candidate
        if record is None or candidate is None:
            return None
        return meta_schedule.database.TuningRecord(
            candidate.schedule.trace, meta_schedule.database.Workload(mod), [record.secs], target
        )

    def _lookup(self, mod: tvm.IRModule, name: str) -> Lookup:
        try:
            task = TuningTask(workload(mod, name), self.target)
        except Misuse as error:
            return Lookup(None, Choice(Config(()), miss=Miss(Cause.DYNAMIC, str(error))))
        return Lookup(task, self.chooser.choose(task))


def database(
    log: RecordStore,
    target: Target,
    device: DeviceFingerprint | None = None,
    others: OtherDevices = OtherDevices.REFUSED,
    builds: Callable[[Candidate], bool] = lambda candidate: True,
) -> Any:
    """The log as a MetaSchedule database for one target, and one device or any, for an existing TVM build.

    An operator without a record gets the schedule of a similar one, if there is one that fits; others: whether it
    may be from another device; builds: asked of such a schedule before it is used.

    >>> with tvm_target(target), database(log, target):
    ...     module = relax.transform.MetaScheduleApplyDatabase()(module)
    """
    return LogDatabase(ScheduleChooser(log, device, others, builds), target)


def _check_target(expected: tvm.target.Target, found: tvm.target.Target) -> None:
    if _without_host(expected) != _without_host(found):
        raise Misuse(f"expected a build for the database's target {expected}; found {found}", code="AT212")


def _without_host(target: tvm.target.Target) -> dict[str, str]:
    return {name: str(value) for name, value in target.export().items() if name != "host"}
