"""The choice of an operator's schedule from a log, its origin, or the cause of a miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Final

from search_spaces.config import UNTOUCHED, Config, baseline_config, is_default_schedule
from search_spaces.config_transfer import transferred
from search_spaces.errors import IllegalSchedule
from search_spaces.space import Candidate
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure
from tuning_logs.records.record import TuningRecord
from tuning_logs.records.trial_counts import TrialCounts
from tuning_logs.selection.ranking import ranked, with_all_repeats
from tuning_logs.selection.significance import is_beyond_noise
from tuning_logs.selection.similar_tasks import SimilarTasks

#: What does not fit from the nearest shapes will not from those further away.
_NEIGHBOURS_TRIED: Final = 8
#: How many of an operator's fastest records are tried until one can be rebuilt.
_OWN_TRIED: Final = 32


class OtherDevices(StrEnum):
    """The use of records of other devices, and of other targets of the same kind, for builds."""

    REFUSED = "refused"
    ALLOWED = "allowed"


class Origin(StrEnum):
    """The origin of a schedule: a record of the operator on this device or on another, or of a similar operator.

    STORED_TRACE: the operator's on this device, replayed by the trace stored with it, as its search space is no more.
    """

    OWN = "own"
    STORED_TRACE = "stored trace"
    OTHER_DEVICE = "other device"
    NEAR_MATCH = "near match"


class Cause(StrEnum):
    """Why an operator has no record of its own that can be used."""

    NO_RECORD = "no record"
    OTHER_DEVICE = "other device"
    OTHER_TARGET = "other target"
    OTHER_SHAPE = "other shape"
    FAILED = "failed"
    SCHEMA = "schema"
    REPLAY = "replay failed"
    DYNAMIC = "dynamic shape"


@dataclass(frozen=True, slots=True)
class Miss:
    """Why, for machines and for people."""

    cause: Cause
    reason: str


_NO_RECORD: Final = Miss(Cause.NO_RECORD, "no record of this operator")
_ONLY_UNTOUCHED: Final = Miss(Cause.NO_RECORD, "only its naive loops were measured")
_EARLIER_DEFAULT: Final = Miss(Cause.SCHEMA, "the default schedule of an earlier version was its best")


@dataclass(frozen=True, slots=True)
class Choice:
    """The schedule of an operator in a build.

    default:   the config of an operator that was not tuned;
    record:    the record of the schedule, None where there is none to use; of another task for a near match.
    candidate: its schedule for this very operator.
    miss:      why there is no record of the operator's own, None where there is one.
    """

    default: Config
    record: TuningRecord | None = None
    candidate: Candidate | None = None
    origin: Origin = Origin.OWN
    miss: Miss | None = None


class ScheduleChooser:
    """Chooses from a log for one device, or for any where device is None."""

    def __init__(
        self,
        log: RecordStore,
        device: DeviceFingerprint | None,
        others: OtherDevices = OtherDevices.REFUSED,
        builds: Callable[[Candidate], bool] = lambda candidate: True,
    ) -> None:
        """builds: asked of a schedule that was never measured on the operator, before it is used."""
        self._log = log
        self._device = device
        self._others = others
        self._builds = builds
        self._outcomes: list[TrialCounts] = log.trial_counts()
        self._similar = SimilarTasks()

    def choose(self, task: TuningTask) -> Choice:
        """The best record of the task's own, else of another device if allowed, else of a similar operator."""
        if not self._outcomes:
            # Not worth a search space, which takes some 50 ms.
            return Choice(baseline_config(task.target), miss=_NO_RECORD)
        task = self._as_logged(task)
        space = TensorIRSpace(task)
        record = self._log.best(task, self._device)
        if record is not None:
            own = self._own(space, record)
            if own.miss is _EARLIER_DEFAULT:
                return own
            if own.candidate is None:
                own = self._next_own(space, record) or own
            if own.candidate is not None:
                return own
            miss = own.miss
        else:
            miss = self._why_missing(task)
        return (
            self._from_elsewhere(space, miss) or self._near(space, miss) or Choice(space.default, miss=miss)
        )

    def _as_logged(self, task: TuningTask) -> TuningTask:
        """The task under the key that the log has for its operator: its own, or one from before keys were blind to
        scalars, the one with the most trials."""
        if any(each.task.key == task.key for each in self._outcomes):
            return task
        equal = self._similar.equal(task, [each for each in self._outcomes if self._may_use(each, task)])
        best = max(equal, key=lambda each: each.trials, default=None)
        return task if best is None else replace(task, workload=replace(task.workload, key=best.task.key))

    def _own(self, space: TensorIRSpace, record: TuningRecord) -> Choice:
        other_version = (
            f"recorded for search space {record.space_version}, this is {space.version}"
            if record.space_version != space.version
            else None
        )
        if other_version and record.trace is None:
            return Choice(space.default, miss=Miss(Cause.SCHEMA, f"{other_version}: tune again"))
        default = with_all_repeats(self._log, space.task, record.device, space.default)
        if default is not None and not is_beyond_noise(record.measurement, default.measurement):
            record = default
        if default is None and _is_naive(record, space):
            return Choice(space.default, miss=_ONLY_UNTOUCHED)
        if is_default_schedule(record.config) and record.config != space.default:
            return Choice(space.default, miss=_EARLIER_DEFAULT)
        try:
            if record.config != space.default and other_version:
                raise IllegalSchedule(other_version)
            return Choice(space.default, record, space.apply(record.config))
        except IllegalSchedule as error:
            reason = str(error)
        try:
            if record.trace is not None:
                candidate = space.replay(record.config, record.trace)
                return Choice(space.default, record, candidate, Origin.STORED_TRACE)
        except IllegalSchedule as error:
            reason = f"{reason}; {error}"
        return Choice(space.default, miss=Miss(Cause.REPLAY, f"its best record cannot be replayed: {reason}"))

    def _next_own(self, space: TensorIRSpace, best: TuningRecord) -> Choice | None:
        """The fastest that can be rebuilt where the best, of another version of the space, cannot."""
        slower = ranked(self._log, space.task, best.device, len(self._log))[1:]
        readable = (one for one in slower if one.space_version == space.version or one.trace is not None)
        choices = (self._own(space, record) for record in islice(readable, _OWN_TRIED))
        return next((choice for choice in choices if choice.candidate is not None), None)

    def _from_elsewhere(self, space: TensorIRSpace, miss: Miss | None) -> Choice | None:
        """A schedule of the same operator from another device or target."""
        if self._others is OtherDevices.REFUSED:
            return None
        found = [
            record
            for each in self._outcomes
            if each.task.key == space.task.key and each.task.target.kind == space.task.target.kind
            if (record := self._log.best(each.task, each.device)) is not None
        ]
        return self._first_that_fits(
            space, sorted(found, key=lambda record: record.secs), Origin.OTHER_DEVICE, miss
        )

    def _near(self, space: TensorIRSpace, miss: Miss | None) -> Choice | None:
        """A schedule of an operator of the same structure, the nearest shape first, where the default is naive loops.

        Nobody measured it on this shape: SqueezeNet took 4.3 times as long with those of ResNet-50 as with defaults by
        rules, and three other networks as long as with them.
        """
        if space.default != UNTOUCHED:
            return None
        nearest = islice(self._neighbours(space.task), _NEIGHBOURS_TRIED)
        found = (record for each in nearest if (record := self._worthwhile(each)) is not None)
        return self._first_that_fits(space, found, Origin.NEAR_MATCH, miss)

    def _neighbours(self, task: TuningTask) -> Iterator[TrialCounts]:
        usable = [
            each
            for each in self._outcomes
            if each.task.key != task.key
            and each.task.target.kind == task.target.kind
            and self._may_use(each, task)
        ]
        return self._similar.nearest(task, usable)

    def _may_use(self, trial_counts: TrialCounts, task: TuningTask) -> bool:
        if self._others is OtherDevices.ALLOWED:
            return True
        is_ours = self._device is None or trial_counts.device.key == self._device.key
        return is_ours and trial_counts.task.target == task.target

    def _worthwhile(self, trial_counts: TrialCounts) -> TuningRecord | None:
        """The best record of a similar operator, if it is better than leaving that one as it was."""
        record = self._log.best(trial_counts.task, trial_counts.device)
        if record is None:
            return None
        space = TensorIRSpace(trial_counts.task)
        default = with_all_repeats(self._log, trial_counts.task, trial_counts.device, space.default)
        is_better = default is None or is_beyond_noise(record.measurement, default.measurement)
        return record if is_better and record.config not in (space.default, UNTOUCHED) else None

    def _first_that_fits(
        self, space: TensorIRSpace, records: Iterable[TuningRecord], origin: Origin, miss: Miss | None
    ) -> Choice | None:
        for record in records:
            if record.space_version == space.version:
                candidate = carried_over(space, record.config)
                if candidate is not None and self._builds(candidate):
                    return Choice(space.default, record, candidate, origin, miss)
        return None

    def _why_missing(self, task: TuningTask) -> Miss:
        failures = [record.measurement for record in self._log.where(task=task, device=self._device)]
        if failures:
            kinds = Counter(each.kind.value for each in failures if isinstance(each, Failure))
            histogram = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            return Miss(Cause.FAILED, f"none of its {len(failures)} trials ran ({histogram})")
        known = [each for each in self._outcomes if each.task.key == task.key]
        others = sorted({each.device.name for each in known if each.task.target == task.target})
        if others:
            return Miss(Cause.OTHER_DEVICE, f"no record from this device, only from {', '.join(others)}")
        targets = sorted({str(each.task.target) for each in known})
        if targets:
            return Miss(Cause.OTHER_TARGET, f"no record for this target, only for {'; '.join(targets)}")
        similar = list(self._neighbours(task))
        if similar:
            names = ", ".join(sorted({each.task.name for each in similar})[:3])
            return Miss(Cause.OTHER_SHAPE, f"no record of this shape, only of others: {names}")
        return _NO_RECORD


def _is_naive(record: TuningRecord, space: TensorIRSpace) -> bool:
    """Whether it is of the loops that builds had before there were default schedules."""
    return record.config == UNTOUCHED != space.default


def carried_over(space: TensorIRSpace, config: Config) -> Candidate | None:
    """The config as nearly as the space allows, None where nothing can be scheduled that way."""
    try:
        candidate = space.apply(transferred(config))
    except IllegalSchedule:
        return None
    return None if candidate.config == space.default else candidate
