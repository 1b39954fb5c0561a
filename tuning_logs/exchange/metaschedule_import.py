"""MetaSchedule's own database files as tuning records, where a trace is one of our configs (imports TVM)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import tvm_ffi
from tvm import s_tir
from tvm.s_tir import meta_schedule

from search_spaces.config import UNTOUCHED, Config
from search_spaces.errors import AutotuneError, IllegalSchedule, Misuse
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import tvm_target, workload
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.exchange.metaschedule_export import DEVICE, RECORDS, WORKLOADS
from tuning_logs.format.raw_lines import raw_lines
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure, FailureKind, Timing
from tuning_logs.records.record import Job, Provenance, TuningRecord

#: TVM writes this many seconds for a candidate that failed.
_FAILED_SECS: Final = 1e9
#: Errors of TVM and Python that damaged or forged lines end in.
_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
#: Of a target, what TVM adds by itself.
_IMPLIED: Final = frozenset({"tag", "keys", "host"})


class _Origin(msgspec.Struct, frozen=True):
    name: str
    facts: dict[str, str | int | float | bool | None]
    target: str


@dataclass(slots=True)
class Imported:
    """The records of a database, and why others could not be taken, with how many of each."""

    records: list[TuningRecord] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def import_metaschedule(folder: Path, device: DeviceFingerprint | None) -> Imported:
    """Reads the databases in a folder and the folders in it.

    device: where the records were measured; by default what `device.json` beside a database says, or else a device
    of the folder's name that is no real one. A trace is taken where one of our sketches gives the very same program.
    Raises Misuse where there is no database.
    """
    found = Imported()
    databases = sorted(path.parent for path in folder.rglob(RECORDS) if (path.parent / WORKLOADS).exists())
    if not databases:
        raise Misuse(
            f"expected {WORKLOADS} and {RECORDS} in {folder} or below, found none; name another folder",
            code="AT212",
        )
    for database in databases:
        _Database(database, device).read(found)
    return found


class _Database:
    def __init__(self, folder: Path, device: DeviceFingerprint | None) -> None:
        self._folder = folder
        origin = _origin(folder)
        self._target = origin.target if origin else None
        self._device = device or (
            DeviceFingerprint(origin.name, origin.facts)
            if origin
            else DeviceFingerprint(
                f"MetaSchedule database {folder.name}", {"metaschedule_folder": folder.name}
            )
        )
        self._spaces: dict[tuple[str, str], TensorIRSpace] = {}

    def read(self, found: Imported) -> None:
        workloads = [_workload(line, found) for line in _lines(self._folder / WORKLOADS)]
        digest = hashlib.sha256((self._folder / RECORDS).read_bytes()).hexdigest()[:16]
        job = Job(f"metaschedule-{digest}", 0, "MetaSchedule", _written(self._folder / RECORDS), {})
        for number, line in enumerate(_lines(self._folder / RECORDS)):
            try:
                place, value = line
                record = meta_schedule.database.TuningRecord.from_json(value, workloads[place])
                found.records.append(self._record(record, Provenance(job, number, job.started)))
            except _DAMAGE:
                found.left_out["the line is damaged"] += 1
            except AutotuneError as reason:
                found.left_out[str(reason)] += 1

    def _record(self, record: Any, provenance: Provenance) -> TuningRecord:
        space = self._space(record)
        secs = tuple(float(each) for each in record.run_secs or ())
        if not secs:
            raise IllegalSchedule("it was never run")
        measurement: Timing | Failure
        if max(secs) > _FAILED_SECS:
            measurement = Failure(FailureKind.RUN_ERROR, "MetaSchedule recorded a failure, without a reason")
        else:
            measurement = Timing(secs, 0.0)
        found = _candidate(space, record)
        return TuningRecord(
            space.task, self._device, space.version, found.config, measurement, None, provenance, found.trace
        )

    def _space(self, record: Any) -> TensorIRSpace:
        target = _target(record.target, self._target)
        found = workload(record.workload.mod, "")
        # Not by its key, which is blind to scalars: programs are compared below.
        key = (found.module, str(target))
        if key not in self._spaces:
            named = type(found)(found.key, f"metaschedule_{found.key[:8]}", found.module, found.flops)
            self._spaces[key] = TensorIRSpace(TuningTask(named, target))
        return self._spaces[key]


def _candidate(space: TensorIRSpace, record: Any) -> Candidate:
    """The candidate that is the program of the record. Raises IllegalSchedule where none does."""
    program = s_tir.Schedule(record.workload.mod, debug_mask="none", error_render_level="none")
    record.trace.apply_to_schedule(program, remove_postproc=False)
    tried = list(dict.fromkeys((UNTOUCHED, space.default)))
    for sketch in space.sketches:
        answers = sketch.read(record.trace)
        if answers is not None:
            asked = tuple((decision.name, answers[decision.name]) for decision in sketch.asked)
            tried.append(Config((("sketch", sketch.name), *asked)))
    for config in tried:
        try:
            candidate = space.apply(config)
        except IllegalSchedule:
            continue
        if tvm_ffi.structural_equal(
            candidate.schedule.mod["main"].body, program.mod["main"].body, map_free_vars=True
        ):
            return candidate
    raise IllegalSchedule("no sketch of this version gives the same program")


def _workload(line: Any, found: Imported) -> Any:
    try:
        return meta_schedule.database.Workload.from_json(line)
    except _DAMAGE:
        found.left_out["the line of a workload is damaged"] += 1
        return None


def _lines(path: Path) -> Iterator[Any]:
    """The JSON values of a file; None for a line that is none."""
    with path.open("rb") as file:
        for raw in raw_lines(file):
            try:
                yield json.loads(raw.text or b"")
            except (ValueError, RecursionError):
                yield None


def _target(target: Any, written: str | None) -> Target:
    """TVM's target as ours: as it was written at the export if it is that one, else without what TVM adds itself."""
    if target is None:
        raise IllegalSchedule("it has no target")
    exported = _texts(target)
    kind = exported.pop("kind")
    if written is not None and _texts(tvm_target(Target.parse(written))) == {"kind": kind, **exported}:
        return Target.parse(written)
    for name, text in sorted(exported.items()):
        del exported[name]
        if _texts(tvm_target(_parsed(kind, exported))).get(name) != text:
            exported[name] = text
    return _parsed(kind, exported)


def _parsed(kind: str, attrs: Mapping[str, str]) -> Target:
    return Target.parse(" ".join([kind, *(f"-{name}={text}" for name, text in attrs.items())]))


def _texts(target: Any) -> dict[str, str]:
    return {
        str(name): str(value) if isinstance(value, int | str) else ",".join(map(str, value))
        for name, value in target.export().items()
        if name not in _IMPLIED
    }


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _origin(folder: Path) -> _Origin | None:
    try:
        return msgspec.json.decode((folder / DEVICE).read_bytes(), type=_Origin)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None
