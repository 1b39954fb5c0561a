"""Orders handed out to workers until each has a result: the coordinator's state machine, without input or output."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from autotune.cluster.crew import Answer, Lost, Member
from autotune.cluster.roster import Roster

#: So many workers may be lost with one order before it is given up for now.
MOST_LOSSES: Final = 3
#: So many answers to one order may be disbelieved before it is given up for now. These tell nothing of its items, so
#: that the bound only keeps an order from going round for ever.
MOST_DISBELIEVED: Final = 12


@dataclass(eq=False, slots=True)
class Order:
    """Items of work that go to one worker together.

    places: of the items in the batch; limits_secs: of each, after the sum of which and grace_secs a worker is taken to
    hang;
    losses: workers that were lost with it; disbelieved: answers to it that were not believed; refused: names of the
    workers of both, and of those whose answer needs a second opinion.
    """

    places: tuple[int, ...]
    limits_secs: tuple[float, ...]
    grace_secs: float = 0.0
    losses: int = 0
    disbelieved: int = 0
    refused: set[str] = field(default_factory=set)

    @property
    def limit_secs(self) -> float:
        """The time limit of the whole."""
        return self.grace_secs + sum(self.limits_secs)

    def part(self, places: Sequence[int]) -> Order:
        """An order for some of the items."""
        limits = dict(zip(self.places, self.limits_secs, strict=True))
        chosen = tuple(limits[place] for place in places)
        return replace(self, places=tuple(places), limits_secs=chosen, refused=set(self.refused))


@dataclass(frozen=True, slots=True)
class _Sent:
    order: Order
    member: str
    incarnation: int
    since: float


class Assignments:
    """The orders of one batch.

    busy: the orders that each worker has, of this batch and of the others that are under way;
    tickets: numbers for what is sent, never used twice, so that late and repeated answers are told from those that are
    waited for; clock: seconds. An order that was lost too often is in `given_up`, with the last reason.
    """

    def __init__(
        self,
        orders: Sequence[Order],
        roster: Roster,
        busy: Counter[str],
        tickets: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._waiting = deque(orders)
        self._roster, self._busy, self._tickets, self._clock = roster, busy, tickets, clock
        self._sent: dict[int, _Sent] = {}
        self.given_up: list[tuple[Order, str]] = []

    @property
    def is_done(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._waiting and not self._sent

    @property
    def is_waiting(self) -> bool:
        """Whether there is an order to hand out."""
        return bool(self._waiting)

    @property
    def is_stalled(self) -> bool:
        """Whether something waits, and no worker has anything."""
        return bool(self._waiting) and not self._busy.total()

    def waits_for(self, answer: Answer) -> bool:
        """Whether an answer is to an order of this batch, and neither late nor repeated."""
        sent = self._sent.get(answer.ticket)
        return sent is not None and sent.member == answer.member

    def hand_out(self, members: Sequence[Member]) -> list[tuple[Member, int, Order]]:
        """Assigns waiting orders to free workers; the caller sends them.

        Workers that were started anew have lost what their predecessors had.
        """
        self._find_restarts(members)
        if not self._waiting:
            return []
        at_work = self._roster.at_work(members)
        names = {member.name for member in at_work}
        free = deque(member for member in at_work if self._busy[member.name] < member.slots)
        found = []
        while free and self._waiting:
            member = free.popleft()
            order = self._suitable(member.name, names)
            if order is None:
                continue
            ticket = self._tickets()
            self._sent[ticket] = _Sent(order, member.name, member.incarnation, self._clock())
            self._busy[member.name] += 1
            found.append((member, ticket, order))
            if self._busy[member.name] < member.slots:
                free.append(member)
        return found

    def take(self, answer: Answer) -> tuple[Order, float] | None:
        """The order of an answer that is waited for, and the seconds that it took.

        None where the worker was lost; its order waits again.
        """
        if isinstance(answer.value, Lost):
            self._lose(answer.ticket, answer.value.reason)
            return None
        sent = self._forget(answer.ticket)
        return sent.order, self._clock() - sent.since

    def overdue(self) -> list[str]:
        """Workers that hang; what they had waits again."""
        now = self._clock()
        late = [
            (ticket, sent.member)
            for ticket, sent in self._sent.items()
            if now - sent.since > sent.order.limit_secs
        ]
        for ticket, _ in late:
            self._lose(ticket, f"no answer for {self._sent[ticket].order.limit_secs:.3g} s")
        return list(dict.fromkeys(member for _, member in late))

    def lost(self, order: Order, member: str, reason: str) -> None:
        """Has an order carried out again that a worker or its device was lost with, by others if there are any."""
        order.losses += 1
        order.refused.add(member)
        self._requeue(order, reason)

    def disbelieve(self, order: Order, member: str, reason: str) -> None:
        """Has an order carried out again whose answer by a worker is not believed, by others if there are any."""
        order.disbelieved += 1
        order.refused.add(member)
        self._requeue(order, reason)

    def second_opinion(self, order: Order, member: str) -> None:
        """Has an order carried out by another worker as well, without counting anything against it."""
        order.refused.add(member)
        self._waiting.appendleft(order)

    def allow(self, secs: float) -> None:
        """Gives what is under way so much longer."""
        self._sent = {ticket: replace(sent, since=sent.since + secs) for ticket, sent in self._sent.items()}

    def abandon(self) -> None:
        """Forgets all orders; answers to those under way will be late."""
        self._waiting.clear()
        for ticket in list(self._sent):
            self._forget(ticket)

    def _find_restarts(self, members: Sequence[Member]) -> None:
        if not self._sent:
            return
        present = {member.name: member.incarnation for member in members}
        for ticket, sent in list(self._sent.items()):
            if present.get(sent.member, sent.incarnation) != sent.incarnation:
                self._lose(ticket, "it was started anew")

    def _suitable(self, member: str, names: set[str]) -> Order | None:
        """The first waiting order that the worker has not failed with, or that nobody else is left for."""
        for place, order in enumerate(self._waiting):
            if member not in order.refused or names <= order.refused:
                del self._waiting[place]
                return order
        return None

    def _forget(self, ticket: int) -> _Sent:
        sent = self._sent.pop(ticket)
        self._busy[sent.member] -= 1
        return sent

    def _lose(self, ticket: int, reason: str) -> None:
        sent = self._forget(ticket)
        self._roster.note_loss(sent.member, reason)
        self.lost(sent.order, sent.member, reason)

    def _requeue(self, order: Order, reason: str) -> None:
        """Puts an order first, its items apart, so that one that takes workers down takes no other with it."""
        if order.losses >= MOST_LOSSES or order.disbelieved >= MOST_DISBELIEVED:
            self.given_up.append((order, reason))
        else:
            self._waiting.extendleft(order.part([place]) for place in reversed(order.places))
