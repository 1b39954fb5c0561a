"""A runner whose artifacts are measured by a crew, each of whose members has one device of the same kind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from autotune.builders.artifact import Artifact
from autotune.cluster.assignments import Order
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.crew import Member
from autotune.cluster.measuring import Measuring, ReferenceShelf
from autotune.cluster.parcel import Parcel, SpeedupOrder
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.references import References
from autotune.runners.runner import Outcome, TrialLimits, best_times
from autotune.workers.closeable import Closeable
from search_spaces.errors import AutotuneError

# As many as share a slowdown on the worker, whose reference kernel is timed after them.
_GROUP = 8
_SPEEDUP_SECS = 60.0
# So many times longer than where it was measured first may an untuned program take.
_PATIENT = 3.0


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """Limits of an order: those of its trials, and grace_secs beyond them, after which a worker is taken to hang: a
    process may have to start and import first."""

    trials: TrialLimits = TrialLimits()  # noqa: RUF009 - frozen
    grace_secs: float = 60.0


class ClusterRunner(Closeable):
    """Measures by a crew: on as many devices as there are, one trial at a time on each.

    coordinator: closed with the runner; turns: held while anything is measured, None where nothing is compiled on the
    devices' machines; overlaps: see `autotune.runners.runner.Overlapping`. With one device the order of trials, and the
    times of the reference kernel between them, are those of a runner on that machine.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        device: Device,
        stopwatch: Stopwatch | None = None,
        limits: OrderLimits | None = None,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self.coordinator = coordinator
        self._device, self._stopwatch = device, stopwatch
        self._limits = limits or OrderLimits()
        self.overlaps = turns is None
        self._turns = turns or nullcontext()
        self._references = References()
        self._shelf = ReferenceShelf()

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """Measures the artifacts; the untuned programs first, which the others are checked against.

        Raises AutotuneError where a task's untuned program has never run, and where no worker is left for two minutes.
        """
        found: dict[int, Outcome] = {}
        with self._turns:
            for chosen in (True, False):
                places = [place for place, one in enumerate(artifacts) if one.is_reference is chosen]
                best = best_times(artifacts, found, best_secs)
                found |= self._run(artifacts, places, best)
        return [found[place] for place in range(len(artifacts))]

    def thread_speedup(self) -> float:
        """The speedup of the reference kernel on a device's threads over one of them.

        Raises AutotuneError where it cannot be measured.
        """
        orders = [Order((0,), (_SPEEDUP_SECS,))]
        with self._turns:
            speedup = self.coordinator.carry_out(orders, _Speedup(self.coordinator))[0]
        if speedup is None:
            raise AutotuneError(
                f"expected a small matmul to run on {self._device.name}, found that its workers were lost; "
                "check that the target fits the device",
                code="AT408",
            )
        return speedup

    @property
    def notices(self) -> list[str]:
        """A sentence of each worker that is not at work, and why."""
        return self.coordinator.roster.notices

    def close(self) -> None:
        """Closes the crew."""
        self.coordinator.close()

    def _run(
        self, artifacts: Sequence[Artifact], places: Sequence[int], best: dict[str, float]
    ) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        measurable = []
        for place in places:
            artifact = artifacts[place]
            failure = self._references.unchecked(artifact)
            if failure is not None:
                found[place] = Outcome(failure, None)
                continue
            measurable.append(place)
            if artifact.is_reference:
                self._shelf.parcels[artifact.task.key] = Parcel.of(artifact)
        work = Measuring(self.coordinator, self._device, self._stopwatch, self._shelf, artifacts, best)
        found |= self.coordinator.carry_out(self._orders(artifacts, measurable), work)
        for place in places:
            self._references.note(artifacts[place], found[place])
        return found

    def _orders(self, artifacts: Sequence[Artifact], places: Sequence[int]) -> list[Order]:
        """Orders of untuned programs, or of one task each: large enough to time the reference kernel seldom, and small
        enough for all workers to have one."""
        by_task: dict[str, list[int]] = defaultdict(list)
        for place in places:
            artifact = artifacts[place]
            by_task["" if artifact.is_reference else artifact.task.key].append(place)
        workers = len(self.coordinator.members)
        return [
            self._order(artifacts, chosen)
            for of_task in by_task.values()
            for chosen in _groups(of_task, workers)
        ]

    def _order(self, artifacts: Sequence[Artifact], places: Sequence[int]) -> Order:
        limits = [self._limits.trials.secs_for(artifacts[place]) for place in places]
        # A worker that has not measured the untuned program does so first.
        before_secs = _PATIENT * self._shelf.secs.get(artifacts[places[0]].task.key, 0.0)
        return Order(tuple(places), tuple(limits), self._limits.grace_secs + before_secs)


def _groups(places: Sequence[int], workers: int) -> list[Sequence[int]]:
    """Places in groups of at most eight; for several workers smaller towards the end, so that all end together."""
    groups = []
    first = 0
    while first < len(places):
        fair = math.ceil((len(places) - first) / (2 * workers)) if workers > 1 else _GROUP
        groups.append(places[first : first + min(fair, _GROUP)])
        first += len(groups[-1])
    return groups


class _Speedup:
    """See `autotune.cluster.coordinator.Work`."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def order(self, _member: Member, _places: Sequence[int]) -> SpeedupOrder:
        return SpeedupOrder()

    def judge(
        self, member: str, places: Sequence[int], value: object, _secs: float
    ) -> Judgement[float | None]:
        if isinstance(value, float) and 0 < value < math.inf:
            return Judgement({places[0]: value})
        self._coordinator.roster.note_lie(member, "no speedup")
        return Judgement(disbelieved=tuple(places), reason="no speedup")

    def give_up(self, _place: int, _reason: str) -> float | None:
        return None
