"""Measuring as a kind of work: parcels for workers, and the judgement of their reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autotune.builders.artifact import Artifact
from autotune.cluster.claims import Claims, Controls
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.crew import Member
from autotune.cluster.parcel import MeasureOrder, MeasureReport, Parcel
from autotune.devices.device import Device
from autotune.measurement.kernel_trial import least_secs
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.runner import Outcome, note_best
from tuning_logs.records.measurement import Failure, FailureKind, Timing, is_device_lost

# Kernels run within their order, by whatever clock; so much is forgiven.
_CLOCK_SECS = 0.05


@dataclass
class ReferenceShelf:
    """The untuned programs of tasks, for workers that join later, and who has measured them.

    parcels: by the task's key; secs: what measuring each took; holders: tasks by worker, of the given incarnation;
    controls: candidates that are right.
    """

    parcels: dict[str, Parcel] = field(default_factory=dict)
    secs: dict[str, float] = field(default_factory=dict)
    holders: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    controls: Controls = field(default_factory=Controls)

    def missing(self, member: Member, key: str) -> Parcel | None:
        """The untuned program, where a worker has not measured it."""
        incarnation, held = self.holders.get(member.name, (member.incarnation, set()))
        if incarnation != member.incarnation:
            held = set()
        self.holders[member.name] = (member.incarnation, held)
        return None if key in held else self.parcels.get(key)

    def note(self, member: str, keys: Iterable[str]) -> None:
        """Notes that a worker has measured the untuned programs of tasks."""
        self.holders[member][1].update(keys)

    def forget(self, member: str) -> None:
        """Notes that a worker has nothing any more, as far as is known."""
        self.holders[member][1].clear()


@dataclass
class Measuring:
    """Measuring of artifacts that all have a place; see `autotune.cluster.coordinator.Work`.

    best: the best latency of each task, which follows what is found; claims: of workers that found results wrong, about
    which others are asked.
    """

    coordinator: Coordinator
    device: Device
    stopwatch: Stopwatch | None
    shelf: ReferenceShelf
    artifacts: Sequence[Artifact]
    best: dict[str, float]
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        self.claims = Claims(self.shelf.controls)

    def order(self, member: Member, places: Sequence[int]) -> MeasureOrder:
        """The artifacts at these places, untuned programs or all of one task.

        The task's untuned program goes first where the worker lacks it, and a control last where an opinion is asked.
        """
        chosen = [self.artifacts[place] for place in places]
        key = chosen[0].task.key
        missing = self.shelf.missing(member, key)
        reference = None if chosen[0].is_reference else missing
        parcels = [Parcel.of(one) for one in chosen]
        control = self.claims.control_for(places[0], chosen[0])
        if control is not None:
            parcels.append(control)
        return MeasureOrder(tuple(parcels), self.best[key], self.stopwatch, reference)

    def judge(self, member: str, places: Sequence[int], value: object, secs: float) -> Judgement[Outcome]:
        """Believes what can be, and notes in the roster what cannot."""
        roster, reason = self.coordinator.roster, self._nonsense(places, value, secs)
        if reason is not None or not isinstance(value, MeasureReport):
            roster.note_lie(member, reason or "no report")
            self.shelf.forget(member)
            return Judgement(disbelieved=tuple(places), reason=reason or "no report")
        if value.fingerprint != self.device.fingerprint.key:
            roster.note_unlike(member, f"its device has the fingerprint {value.fingerprint} now")
            return Judgement(disbelieved=tuple(places), reason="another device")
        if value.reference_secs is not None and not roster.note_reference(member, value.reference_secs):
            return Judgement(disbelieved=tuple(places), reason=roster.standing(member).reason)
        if self.claims.control_of(places[0]) is not None and _has_failed(value.outcomes[-1]):
            return self._refuse_opinion(member, places[0])
        outcomes = value.outcomes[: len(places)]
        opinion = self._sort(member, places, outcomes)
        if not opinion.lost:
            roster.note_truth(member)
            roster.standing(member).busy_elsewhere = value.busy_elsewhere
            self._note_references(member, places, outcomes, secs)
        return opinion

    def give_up(self, place: int, reason: str) -> Outcome:
        """A failure that tells nothing of the candidate."""
        build_secs = self.artifacts[place].build_secs
        return Outcome(
            Failure(FailureKind.DEVICE_LOST, f"its device was lost: {reason}"[-2000:], build_secs), None
        )

    def _sort(self, member: str, places: Sequence[int], outcomes: Sequence[Outcome]) -> Judgement[Outcome]:
        """Sorts outcomes: those that are believed, those that need an opinion, and those whose device was lost."""
        results: dict[int, Outcome] = {}
        doubted, lost = [], []
        for place, outcome in zip(places, outcomes, strict=True):
            if is_device_lost(outcome.measurement):
                lost.append(place)
            elif self._is_doubtful(member, place, outcome):
                doubted.append(place)
            else:
                self._settle(place, outcome)
                results[place] = outcome
                note_best(self.best, self.artifacts[place], outcome)
        return Judgement(results, (), tuple(lost), tuple(doubted), "the device was lost")

    def _note_references(
        self, member: str, places: Sequence[int], outcomes: Sequence[Outcome], secs: float
    ) -> None:
        """Notes whose untuned programs a worker has measured: those of the order, or the one that went before it."""
        for place, outcome in zip(places, outcomes, strict=True):
            artifact = self.artifacts[place]
            if not artifact.is_reference:
                self.shelf.note(member, [artifact.task.key])
            elif not _has_failed(outcome):
                self.shelf.note(member, [artifact.task.key])
                self.shelf.secs[artifact.task.key] = secs

    def _is_doubtful(self, member: str, place: int, outcome: Outcome) -> bool:
        """Whether a wrong result may be the worker's, and there is another to ask."""
        if not _is_wrong(outcome) and not (self.artifacts[place].is_reference and _has_failed(outcome)):
            return False
        is_believed = self.claims.make(place, member)
        return not is_believed and self.coordinator.has_others(member)

    def _settle(self, place: int, outcome: Outcome) -> None:
        """Holds claims against the workers that made them, where another contradicts them."""
        claimants = self.claims.settle(place)
        if _has_failed(outcome):
            return
        self.shelf.controls.note_right(self.artifacts[place])
        for claimant in claimants:
            self.coordinator.roster.note_lie(claimant, "it found results wrong that are right elsewhere")

    def _refuse_opinion(self, member: str, place: int) -> Judgement[Outcome]:
        """Disbelieves a worker that finds the control wrong too; another will tell which of the two is broken."""
        self.claims.make(place, member)
        self.shelf.controls.dispute(self.artifacts[place].task.key)
        self.shelf.forget(member)
        return Judgement(disbelieved=(place,), reason="it found a result wrong that is right elsewhere")

    def _nonsense(self, places: Sequence[int], value: object, secs: float) -> str | None:
        """Why a report cannot be true; None where it may be."""
        if not isinstance(value, MeasureReport):
            return f"expected a report, found {type(value).__name__}"
        if value.trouble is not None:
            return value.trouble
        artifacts = self._artifacts_sent(places)
        if len(value.outcomes) != len(artifacts):
            return f"expected {len(artifacts)} outcomes, found {len(value.outcomes)}"
        if value.reference_secs is not None and not 0 < value.reference_secs < math.inf:
            return f"a reference kernel cannot take {value.reference_secs} s"
        spent = 0.0
        for artifact, outcome in zip(artifacts, value.outcomes, strict=True):
            measured = outcome.measurement
            if isinstance(measured, Timing):
                spent += sum(measured.run_secs)
                bound = least_secs(artifact, self.device.threads)
                if not measured.run_secs or not all(bound < one < math.inf for one in measured.run_secs):
                    return f"implausible: {measured.run_secs[:3]} s, where any processor needs {bound:.3g} s"
        if not spent <= secs + _CLOCK_SECS:
            return f"implausible: kernels that took {spent:.3g} s within {secs:.3g} s"
        return None

    def _artifacts_sent(self, places: Sequence[int]) -> list[Artifact]:
        """The artifacts of an order: those at its places, and the control."""
        control = self.claims.control_of(places[0])
        return [*(self.artifacts[place] for place in places), *([control.artifact] if control else [])]


def _is_wrong(outcome: Outcome) -> bool:
    return isinstance(outcome.measurement, Failure) and outcome.measurement.kind is FailureKind.WRONG_RESULT


def _has_failed(outcome: Outcome) -> bool:
    return isinstance(outcome.measurement, Failure)
