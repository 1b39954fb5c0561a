"""The coordinator's loop: hands orders to a crew and judges the answers, until every item has a result."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from autotune.cluster.assignments import Assignments, Order
from autotune.cluster.crew import NO_TICKET, Answer, Crew, Lost, Member
from autotune.cluster.environment import Environment
from autotune.cluster.roster import Roster
from search_spaces.errors import AutotuneError

T = TypeVar("T")

_WATCH_SECS = 0.2
# Where a worker is free and no order waits: another batch may come.
_IDLE_WATCH_SECS = 0.02
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


@dataclass(eq=False, slots=True)
class Batch(Generic[T]):
    """A batch under way.

    moved: seconds of the clock when any worker last had an order; results: by place.
    """

    orders: Assignments
    work: Work[T]
    patience_secs: float
    moved: float
    results: dict[int, T] = field(default_factory=dict)

    def settle(self, answer: Answer) -> None:
        """Takes in the answer to one of the orders."""
        taken = self.orders.take(answer)
        if taken is None:
            return
        order, secs = taken
        opinion = self.work.judge(answer.member, order.places, answer.value, secs)
        self.results |= opinion.results
        if opinion.disbelieved:
            self.orders.disbelieve(order.part(opinion.disbelieved), answer.member, opinion.reason)
        if opinion.lost:
            self.orders.lost(order.part(opinion.lost), answer.member, opinion.reason)
        for place in reversed(opinion.doubted):
            self.orders.second_opinion(order.part([place]), answer.member)

    def give_up(self) -> None:
        """Settles the orders that too many workers were lost with."""
        for order, reason in self.orders.given_up:
            self.results.update((place, self.work.give_up(place, reason)) for place in order.places)
        self.orders.given_up.clear()


@dataclass(eq=False, slots=True)
class _Waiting:
    """A thread that waits for batches, and whether its wait is over; is_enough: of what it would leave with."""

    batches: Sequence[Batch[Any]]
    is_enough: Callable[[], bool]
    is_over: bool


class Coordinator:
    """Carries out batches of work by a crew.

    Several threads may have a batch under way: workers that one batch has no order for get those of the next, in the
    order in which the batches came. One of the threads at a time speaks with the crew, for all of them.

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
        self._busy: Counter[str] = Counter()
        self._batches: list[Batch[Any]] = []
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._is_led = False
        #: When the last thread ceased to lead.
        self._left = clock()
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
        batch = self.begin(orders, work, patience_secs)
        try:
            self.carry_on([batch])
        finally:
            self.abandon(batch)
        return batch.results

    def begin(self, orders: Sequence[Order], work: Work[T], patience_secs: float = PATIENCE_SECS) -> Batch[T]:
        """A batch that is carried out whenever a thread waits for this or another one, until it is abandoned."""
        assigned = Assignments(orders, self.roster, self._busy, lambda: next(self._tickets), self._clock)
        batch = Batch(assigned, work, patience_secs, self._clock())
        with self._changed:
            self._batches.append(batch)
        return batch

    def carry_on(self, batches: Sequence[Batch[Any]], is_enough: Callable[[], bool] = lambda: False) -> None:
        """Waits until batches are done; or until it is enough, none of their orders waits and a worker is free.

        What is under way then may be stopped: its time limits stand while no thread waits. Raises AutotuneError where
        no worker is left for the batches' patience.
        """
        waiting = _Waiting(batches, is_enough, all(one.orders.is_done for one in batches))
        with self._changed:
            self._waiting.append(waiting)
        try:
            if self._comes_to_lead(waiting):
                self._lead(waiting)
        finally:
            with self._changed:
                self._waiting.remove(waiting)

    def abandon(self, batch: Batch[Any]) -> None:
        """Forgets a batch; answers to what is under way will be late."""
        with self._changed:
            if batch in self._batches:
                self._batches.remove(batch)
            batch.orders.abandon()

    def close(self) -> None:
        """Closes the crew, once no thread speaks with it; batches under way end in an error."""
        self._is_closed = True
        with self._changed:
            self._changed.wait_for(lambda: not self._is_led)
            self._crew.close()

    def _comes_to_lead(self, waiting: _Waiting) -> bool:
        """Waits until no other thread speaks with the crew, as this one does then; False where its wait is over."""
        with self._changed:
            self._changed.wait_for(lambda: waiting.is_over or not self._is_led)
            if waiting.is_over:
                return False
            self._is_led = True
            return True

    def _lead(self, waiting: _Waiting) -> None:
        """Moves all batches on until this thread's wait is over."""
        try:
            self._allow_for_absence()
            while not waiting.is_over:
                if self._is_closed:
                    raise self._closed()
                self._move(tuple(self._batches))
                with self._changed:
                    self._find_over()
        finally:
            with self._changed:
                self._is_led = False
                self._left = self._clock()
                self._changed.notify_all()

    def _allow_for_absence(self) -> None:
        now = self._clock()
        for batch in self._batches:
            batch.orders.allow(now - self._left)
            batch.moved = now

    def _find_over(self) -> None:
        """Wakes the threads whose wait is over."""
        has_room = self._has_room(self._crew.members())
        for one in self._waiting:
            one.is_over = all(batch.orders.is_done for batch in one.batches) or (
                has_room and not any(batch.orders.is_waiting for batch in one.batches) and one.is_enough()
            )
        if any(one.is_over for one in self._waiting):
            self._changed.notify_all()

    def _has_room(self, members: Sequence[Member]) -> bool:
        """Whether a worker may have another order."""
        return any(self._busy[member.name] < member.slots for member in members)

    def _move(self, batches: Sequence[Batch[Any]]) -> None:
        """Hands out orders of all batches, and takes in what has been answered."""
        members = self._crew.members()
        for batch in batches:
            for member, ticket, order in batch.orders.hand_out(members):
                batch.moved = self._clock()
                self._crew.send(member.name, ticket, batch.work.order(member, order.places))
        self._receive(batches, members)
        for batch in batches:
            for name in batch.orders.overdue():
                self._crew.dismiss(name)
            batch.give_up()
            if batch.orders.is_stalled:
                self.roster.readmit(self._crew.members())
                self._give_up_waiting(batch.moved, batch.patience_secs)
            else:
                batch.moved = self._clock()

    def _receive(self, batches: Sequence[Batch[Any]], members: Sequence[Member]) -> None:
        is_idle = self._has_room(members) and not any(batch.orders.is_waiting for batch in batches)
        for answer in self._crew.receive(_IDLE_WATCH_SECS if is_idle else _WATCH_SECS):
            batch = next((one for one in batches if one.orders.waits_for(answer)), None)
            if batch is not None:
                batch.settle(answer)
            elif isinstance(answer.value, Lost) and answer.ticket == NO_TICKET:
                self.roster.note_loss(answer.member, answer.value.reason)
            else:
                self.stray_answers += 1

    def _give_up_waiting(self, since: float, patience_secs: float) -> None:
        if self._is_closed:
            raise self._closed()
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

    def _closed(self) -> AutotuneError:
        return AutotuneError(f"the {self._kind} were given up while they were waited for", code="AT754")

    def _all_refused(self) -> bool:
        members = self._crew.members()
        are_out = bool(members) and all(self.roster.is_out(member.name) for member in members)
        return are_out and not any(map(self.roster.fits, members))
