"""How much of a model a tuning log covers: every operator, tuned or why not, and its share of the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from tuning_logs.device_fingerprint import DeviceFingerprint
from tuning_logs.log import TuningLog
from tuning_logs.measurement import Timing
from tuning_logs.metaschedule_database import Lookup


class Status(StrEnum):
    """What a build uses for an operator."""

    TUNED = "tuned"
    DEFAULT_IS_BEST = "default is best"
    UNTUNED = "untuned"


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One operator of the model.

    calls:        how often one run of the model calls it;
    reason:       why it is untuned, empty where it is not;
    tuned_secs:   one call with the schedule that is used, as recorded; None where there is none;
    default_secs: one call of the untouched operator, as recorded; None where never measured;
    share:        its part of the time of all operators whose time is known, 0 to 1; None where its own is not
    """

    name: str
    calls: int
    status: Status
    reason: str
    tuned_secs: float | None
    default_secs: float | None
    share: float | None = None

    @property
    def secs(self) -> float | None:
        """What all its calls take in one run of the model, as far as the log knows."""
        known = self.tuned_secs if self.tuned_secs is not None else self.default_secs
        return None if known is None else known * self.calls


@dataclass(frozen=True, slots=True)
class Coverage:
    """The operators of a build, the one with the largest share first, those of unknown time last."""

    rows: tuple[CoverageRow, ...]

    @property
    def untuned(self) -> tuple[CoverageRow, ...]:
        """The operators that run TVM's naive loops because the log has nothing better to offer."""
        return tuple(row for row in self.rows if row.status is Status.UNTUNED)


def coverage(
    calls: Iterable[str],
    lookups: Mapping[str, Lookup],
    log: TuningLog,
    device: DeviceFingerprint | None,
) -> Coverage:
    """What a build used for each of its calls, given by function name."""
    merged: dict[str, CoverageRow] = {}
    for name in calls:
        lookup = lookups[name]
        key = lookup.task.key if lookup.task else name
        row = merged.get(key) or _row(name, lookup, log, device)
        merged[key] = replace(row, calls=row.calls + 1)
    total = sum(row.secs or 0.0 for row in merged.values())
    shared = [
        replace(row, share=row.secs / total) if row.secs is not None and total else row
        for row in merged.values()
    ]
    return Coverage(
        tuple(sorted(shared, key=lambda row: -1.0 if row.share is None else row.share, reverse=True))
    )


def _row(name: str, lookup: Lookup, log: TuningLog, device: DeviceFingerprint | None) -> CoverageRow:
    default_secs = _default_secs(lookup, log, device)
    if lookup.record is None:
        return CoverageRow(name, 0, Status.UNTUNED, lookup.miss, None, default_secs)
    status = Status.DEFAULT_IS_BEST if lookup.record.config == lookup.default else Status.TUNED
    return CoverageRow(name, 0, status, "", lookup.record.secs, default_secs)


def _default_secs(lookup: Lookup, log: TuningLog, device: DeviceFingerprint | None) -> float | None:
    if lookup.task is None:
        return None
    records = log.where(task=lookup.task, device=device)
    secs = [
        each.secs
        for each in records
        if each.config == lookup.default and isinstance(each.measurement, Timing)
    ]
    return min(secs, default=None)
