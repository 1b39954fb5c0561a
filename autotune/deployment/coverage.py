"""Coverage of a model by a tuning log: for each operator the schedule's origin, and its share of the time."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from search_spaces.config import UNTOUCHED
from tuning_logs.exchange.metaschedule_database import Lookup
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.selection.ranking import with_all_repeats
from tuning_logs.selection.schedule_choice import Cause, Origin

#: Floating-point operations a second of TVM's naive loops, where the log does not tell.
_NAIVE_FLOPS = 1e9
#: The same of scheduled loops.
_SCHEDULED_FLOPS = 5e10


class Status(StrEnum):
    """The origin of an operator's schedule in a build."""

    TUNED = "tuned"
    DEFAULT_IS_BEST = "default is best"
    OTHER_DEVICE = "tuned on another device"
    NEAR_MATCH = "near match"
    DEFAULT_SCHEDULE = "default schedule"
    UNTUNED = "untuned"


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One operator of the model.

    calls:         how often one run of the model calls it;
    cause, reason: why it has no record of its own that is used; None and empty where it has;
    source:        whose schedule is used instead: the other device's or operator's name, empty where none is; of an own
                   record, "trace stored with" the version of the search space, where it was replayed by its trace;
    tuned_secs:    one call with the schedule that is used, as recorded; None where that was never measured here;
    default_secs:  one call of the operator as it is without tuning, as recorded: on CPUs with the default schedule,
                   elsewhere with naive loops; None where never measured;
    flops:         floating-point operations of one call;
    key:           its workload's key, None where its shape is dynamic;
    share:         its expected part of the time of all operators, 0 to 1; None where its shape is dynamic
    """

    name: str
    calls: int
    status: Status
    reason: str
    tuned_secs: float | None
    default_secs: float | None
    flops: float = 0.0
    cause: Cause | None = None
    source: str = ""
    share: float | None = None
    key: str | None = None

    @property
    def secs(self) -> float | None:
        """Seconds of all its calls in one run of the model; None where the log has no time for it."""
        known = self.tuned_secs if self.tuned_secs is not None else self.default_secs
        return None if known is None else known * self.calls


@dataclass(frozen=True, slots=True)
class Coverage:
    """The operators of a build, the one with the largest share first, those of dynamic shape last."""

    rows: tuple[CoverageRow, ...]

    @property
    def untuned(self) -> tuple[CoverageRow, ...]:
        """The operators for which the log has nothing to offer: they run a default schedule or TVM's naive loops."""
        return tuple(row for row in self.rows if row.status in (Status.DEFAULT_SCHEDULE, Status.UNTUNED))

    @property
    def naive(self) -> tuple[CoverageRow, ...]:
        """The untuned operators that run TVM's naive loops."""
        return tuple(row for row in self.rows if row.status is Status.UNTUNED)

    @property
    def borrowed(self) -> tuple[CoverageRow, ...]:
        """The operators that run a schedule that was found for another operator or on another device."""
        return tuple(row for row in self.rows if row.status in (Status.NEAR_MATCH, Status.OTHER_DEVICE))

    @property
    def missed_share(self) -> float:
        """The expected share of the time of all operators without a record of their own; 1.0 where one of them has
        a dynamic shape, as then nobody knows."""
        shares = [row.share for row in (*self.untuned, *self.borrowed)]
        # Shares that add up to one may exceed it by rounding.
        return 1.0 if None in shares else min(1.0, sum(share for share in shares if share is not None))


def coverage(
    calls: Iterable[str],
    lookups: Mapping[str, Lookup],
    log: RecordStore,
    device: DeviceFingerprint | None,
    by_default: Collection[str] = (),
) -> Coverage:
    """The coverage of a build, from the database lookups of its calls by function name.

    by_default: the functions that got a default schedule. The time of an operator that was never measured is expected
    from its operations: at the rate at which the build's tuned operators run, for naive loops that of the log's other
    naive loops, or that of the operator whose schedule it borrows.
    """
    merged: dict[str, CoverageRow] = {}
    for name in calls:
        lookup = lookups[name]
        key = lookup.task.key if lookup.task else name
        row = merged.get(key) or _row(name, lookup, log, device)
        if row.status is Status.UNTUNED and name in by_default:
            row = replace(row, status=Status.DEFAULT_SCHEDULE)
        merged[key] = replace(row, calls=row.calls + 1)
    expected = _expected(list(merged.values()), {row.name: lookups[row.name] for row in merged.values()})
    total = sum(secs for secs in expected.values() if secs is not None)
    shared = [
        replace(row, share=secs / total if total else 0.0)
        if (secs := expected[row.name]) is not None
        else row
        for row in merged.values()
    ]
    return Coverage(
        tuple(sorted(shared, key=lambda row: -1.0 if row.share is None else row.share, reverse=True))
    )


def _row(name: str, lookup: Lookup, log: RecordStore, device: DeviceFingerprint | None) -> CoverageRow:
    choice = lookup.choice
    row = CoverageRow(
        name,
        0,
        Status.UNTUNED,
        choice.miss.reason if choice.miss else "",
        None,
        _default_secs(lookup, log, device),
        lookup.task.workload.flops if lookup.task else 0.0,
        choice.miss.cause if choice.miss else None,
        key=lookup.task.key if lookup.task else None,
    )
    record = choice.record
    if record is None:
        return row
    match choice.origin:
        case Origin.NEAR_MATCH:
            return replace(row, status=Status.NEAR_MATCH, source=record.task.name)
        case Origin.OTHER_DEVICE:
            source = f"{record.device.name} ({record.task.target})"
            return replace(row, status=Status.OTHER_DEVICE, source=source)
        case Origin.STORED_TRACE:
            row = replace(row, source=f"trace stored with {record.space_version}")
    status = Status.DEFAULT_IS_BEST if record.config == choice.default else Status.TUNED
    return replace(row, status=status, tuned_secs=record.secs)


def _expected(rows: Sequence[CoverageRow], lookups: Mapping[str, Lookup]) -> dict[str, float | None]:
    """Expected seconds of all calls of each operator, by name; None for a dynamic shape."""
    untouched = [row for row in rows if lookups[row.name].choice.default == UNTOUCHED]
    naive = _rate([(row.flops, row.default_secs) for row in untouched], _NAIVE_FLOPS)
    tuned = _rate([(row.flops, row.tuned_secs) for row in rows], _SCHEDULED_FLOPS)
    return {row.name: _expected_secs(row, lookups[row.name], naive, tuned) for row in rows}


def _rate(known: Iterable[tuple[float, float | None]], otherwise: float) -> float:
    rates = [flops / secs for flops, secs in known if secs and flops]
    return statistics.median(rates) if rates else otherwise


def _expected_secs(row: CoverageRow, lookup: Lookup, naive: float, tuned: float) -> float | None:
    record = lookup.choice.record
    if lookup.task is None:
        return None
    if record is not None and row.status in (Status.NEAR_MATCH, Status.OTHER_DEVICE):
        size = row.flops / record.task.workload.flops if record.task.workload.flops else 1.0
        return record.secs * size * row.calls
    if row.secs is not None:
        return row.secs
    return row.flops / (tuned if row.status is Status.DEFAULT_SCHEDULE else naive) * row.calls


def _default_secs(lookup: Lookup, log: RecordStore, device: DeviceFingerprint | None) -> float | None:
    if lookup.task is None:
        return None
    record = with_all_repeats(log, lookup.task, device, lookup.choice.default)
    return record.secs if record else None
