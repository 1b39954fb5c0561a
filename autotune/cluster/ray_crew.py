"""A crew of Ray actors, one in each seat; those that are lost are started anew (imports Ray)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autotune.cluster.crew import NO_TICKET, Answer, Lost, Member
from autotune.cluster.layout import Seat
from autotune.cluster.ray_actors import PAUSING

# How often the cluster is asked for its nodes.
_FOLLOW_SECS = 1.0
_MESSAGE_CHARS = 500
# Stopping takes milliseconds; a worker that does not answer hangs.
_PAUSE_SECS = 10.0


@dataclass(slots=True)
class _Actor:
    seat: Seat
    incarnation: int
    handle: Any
    member: Member | None = None


class RayCrew:
    """Actors of one class.

    seats: finds where there are to be actors, told where there are now; actor: the class, whose arguments are
    arguments_of(seat).
    """

    def __init__(
        self,
        seats: Callable[[Sequence[str]], Sequence[Seat]],
        actor: Any,
        arguments_of: Callable[[Seat], tuple[Any, ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seats, self._actor, self._arguments_of, self._clock = seats, actor, arguments_of, clock
        self._actors: dict[str, _Actor] = {}
        self._incarnations: dict[str, int] = {}
        #: Actors whose seat is not theirs any more, which finish what they have.
        self._leaving: set[str] = set()
        self._under_way: dict[Any, tuple[str, int, int]] = {}
        self._next_look = 0.0
        #: Actors that are stopped with what they have.
        self._paused: list[_Actor] = []
        self._follow()

    def members(self) -> list[Member]:
        """See `Crew.members`."""
        return [
            actor.member
            for name, actor in self._actors.items()
            if actor.member is not None and name not in self._leaving
        ]

    def send(self, member: str, ticket: int, order: Any) -> None:
        """See `Crew.send`."""
        actor = self._actors.get(member)
        if actor is not None:
            self._note(actor.handle.carry_out.remote(order), actor, ticket)

    def receive(self, wait_secs: float) -> list[Answer]:
        """See `Crew.receive`."""
        self._follow()
        if not self._under_way:
            time.sleep(wait_secs)
            return []
        ready, _ = ray.wait(list(self._under_way), num_returns=1, timeout=wait_secs)
        if ready and len(self._under_way) > 1:
            ready, _ = ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        answers = (self._answer(reference) for reference in ready)
        return [answer for answer in answers if answer is not None]

    def dismiss(self, member: str) -> None:
        """See `Crew.dismiss`."""
        actor = self._actors.pop(member, None)
        if actor is not None:
            ray.kill(actor.handle)
            gone = [one for one, (name, _, _) in self._under_way.items() if name == member]
            for reference in gone:
                del self._under_way[reference]

    def pause(self) -> None:
        """Stops what compilers have under way, until `resume`; those that do not answer are ended."""
        busy = {name for name, _, ticket in self._under_way.values() if ticket != NO_TICKET}
        self._paused = [self._actors[name] for name in busy if name in self._actors]
        calls = {
            actor.handle.pause.options(concurrency_group=PAUSING).remote(): actor.seat.name
            for actor in self._paused
        }
        if calls:
            _, late = ray.wait(list(calls), num_returns=len(calls), timeout=_PAUSE_SECS)
            for reference in late:
                self.dismiss(calls[reference])

    def resume(self) -> None:
        """Continues what was stopped."""
        for actor in self._paused:
            actor.handle.resume.options(concurrency_group=PAUSING).remote()
        self._paused = []

    def close(self) -> None:
        """See `Crew.close`."""
        for name in list(self._actors):
            self.dismiss(name)

    def _follow(self) -> None:
        """Starts actors in seats without one, and forgets those whose node is gone."""
        if self._clock() < self._next_look:
            return
        self._next_look = self._clock() + _FOLLOW_SECS
        seats = {seat.name: seat for seat in self._seats(list(self._actors))}
        self._leaving = set(self._actors) - set(seats)
        for name in self._leaving:
            if not any(name == busy for busy, _, _ in self._under_way.values()):
                self.dismiss(name)
        for name, seat in seats.items():
            if name not in self._actors:
                self._start(seat)

    def _start(self, seat: Seat) -> None:
        incarnation = self._incarnations[seat.name] = self._incarnations.get(seat.name, 0) + 1
        handle = self._actor.options(
            num_cpus=seat.cpus,
            resources=dict(seat.resources),
            max_concurrency=seat.slots,
            scheduling_strategy=NodeAffinitySchedulingStrategy(seat.node, soft=False),
        ).remote(*self._arguments_of(seat))
        actor = self._actors[seat.name] = _Actor(seat, incarnation, handle)
        self._note(handle.admit.remote(), actor, NO_TICKET)

    def _note(self, reference: Any, actor: _Actor, ticket: int) -> None:
        self._under_way[reference] = (actor.seat.name, actor.incarnation, ticket)

    def _answer(self, reference: Any) -> Answer | None:
        """The answer of a call that has ended; None of an admission. An actor that a call was lost with is ended."""
        if reference not in self._under_way:
            return None  # of an actor that was ended for another answer
        name, incarnation, ticket = self._under_way.pop(reference)
        actor = self._actors.get(name)
        is_current = actor is not None and actor.incarnation == incarnation
        try:
            value = ray.get(reference)
        except RayError as error:
            if is_current:
                self.dismiss(name)
            return Answer(name, ticket, Lost(_text(error)))
        if ticket != NO_TICKET:
            return Answer(name, ticket, value)
        if actor is not None and is_current:
            environment, fingerprint = value
            actor.member = Member(name, incarnation, actor.seat.slots, environment, fingerprint)
        return None


def _text(error: BaseException) -> str:
    """The last lines of an error, which say what went wrong on the worker."""
    return " ".join(str(error).split())[-_MESSAGE_CHARS:] or type(error).__name__
