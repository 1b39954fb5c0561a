"""The coordinator's loop: hands orders to a crew and judges the answers, until every item has a result."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from autotune.cluster.assignments import Assignments, Order
from autotune.cluster.crew import NO_TICKET, Crew, Lost, Member
from autotune.cluster.environment import Environment
from autotune.cluster.roster import Roster
from search_spaces.errors import AutotuneError

T = TypeVar("T")

_WATCH_SECS = 0.2
#: How long no worker may be there before that is an error.
PATIENCE_SECS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Judgement(Generic[T]):
    """The coordinator's opinion of an answer.

    results: of places, believed; disbelieved: places whose result is not; lost: places that the device was lost with;
    doubted: places that another worker is to carry out as well; reason: of `disbelieved` and `lost`.
    """

    results: Mapping[int, T] = field(default_factory=dict)
    disbelieved: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    doubted: tuple[int, ...] = ()
    reason: str = ""


class Work(Protocol[T]):
    """One kind of work: how it is put, and how answers are judged."""

    def order(self, member: Member, places: Sequence[int]) -> Any:
        """The order for a worker: the items at these places."""
        ...

    def judge(self, member: str, places: Sequence[int], value: Any, secs: float) -> Judgement[T]:
        """Judges an answer; secs: by this side's clock, from sending to receiving."""
        ...

    def give_up(self, place: int, reason: str) -> T:
        """The result of an item that too many workers were lost with."""
        ...


class Coordinator:
    """Carries out batches of work by a crew.

    kind: of the crew, for messages; clock: seconds. The crew is closed with the coordinator.
    """

    def __init__(
        self,
        kind: str,
        crew: Crew,
        environment: Environment,
        fingerprint: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.roster = Roster(environment, fingerprint, clock)
        self.stray_answers = 0
        self._kind, self._crew, self._clock = kind, crew, clock
        self._tickets = itertools.count(1)
        self._is_closed = False

    @property
    def members(self) -> list[Member]:
        """The workers that may be given orders now."""
        return self.roster.at_work(self._crew.members())

    def has_others(self, name: str) -> bool:
        """Whether there is another worker that is not left alone for good."""
        return any(one.name != name and not self.roster.is_out(one.name) for one in self._crew.members())

    def wait_for_members(self, patience_secs: float = PATIENCE_SECS) -> list[Member]:
        """The workers at work, once there is one. Raises AutotuneError where there is none in time."""
        started = self._clock()
        while not (found := self.members):
            self._give_up_waiting(started, patience_secs)
            for answer in self._crew.receive(_WATCH_SECS):
                if isinstance(answer.value, Lost):
                    self.roster.note_loss(answer.member, answer.value.reason)
        return found

    def carry_out(
        self, orders: Sequence[Order], work: Work[T], patience_secs: float = PATIENCE_SECS
    ) -> dict[int, T]:
        """The result of every place.

        Raises AutotuneError where no worker is left for so long.
        """
        batch = Assignments(orders, self.roster, lambda: next(self._tickets), self._clock)
        found: dict[int, T] = {}
        moved = self._clock()
        try:
            while not batch.is_done:
                for member, ticket, order in batch.hand_out(self._crew.members()):
                    moved = self._clock()
                    self._crew.send(member.name, ticket, work.order(member, order.places))
                self._receive(batch, work, found)
                for name in batch.overdue():
                    self._crew.dismiss(name)
                for order, reason in batch.given_up:
                    found.update((place, work.give_up(place, reason)) for place in order.places)
                batch.given_up.clear()
                if batch.is_stalled:
                    self.roster.readmit(self._crew.members())
                    self._give_up_waiting(moved, patience_secs)
                else:
                    moved = self._clock()
        finally:
            self.stray_answers += batch.stray_answers
        return found

    def close(self) -> None:
        """Closes the crew."""
        self._is_closed = True
        self._crew.close()

    def _receive(self, batch: Assignments, work: Work[T], found: dict[int, T]) -> None:
        for answer in self._crew.receive(_WATCH_SECS):
            if isinstance(answer.value, Lost) and answer.ticket == NO_TICKET:
                self.roster.note_loss(answer.member, answer.value.reason)
                continue
            taken = batch.take(answer)
            if taken is None:
                continue
            order, secs = taken
            opinion = work.judge(answer.member, order.places, answer.value, secs)
            found |= opinion.results
            if opinion.disbelieved:
                batch.disbelieve(order.part(opinion.disbelieved), answer.member, opinion.reason)
            if opinion.lost:
                batch.lost(order.part(opinion.lost), answer.member, opinion.reason)
            for place in reversed(opinion.doubted):
                batch.second_opinion(order.part([place]), answer.member)

    def _give_up_waiting(self, since: float, patience_secs: float) -> None:
        if self._is_closed:
            raise AutotuneError(f"the {self._kind} were given up while they were waited for", code="AT754")
        secs = self._clock() - since
        notices = "; ".join(self.roster.notices[:5])
        if notices and self._all_refused():
            raise AutotuneError(f"expected {self._kind} that fit, found none: {notices}", code="AT753")
        if secs > patience_secs:
            raise AutotuneError(
                f"expected one of the {self._kind} to answer, found none for {secs:.0f} s"
                f"{f': {notices}' if notices else ''}; see autotune devices --workers for what the cluster has",
                code="AT754",
            )

    def _all_refused(self) -> bool:
        members = self._crew.members()
        are_out = bool(members) and all(self.roster.is_out(member.name) for member in members)
        return are_out and not any(map(self.roster.fits, members))
