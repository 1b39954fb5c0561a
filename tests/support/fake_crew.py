"""A crew of boards in simulated time, whose kernels take as long as they say, and which fail in every way."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from autotune.cluster.crew import Answer, Lost, Member
from autotune.cluster.environment import Environment
from autotune.cluster.parcel import MeasureOrder, MeasureReport, Parcel, SpeedupOrder
from autotune.runners.runner import Outcome
from tuning_logs import Check, Failure, FailureKind, Timing

ENVIRONMENT = Environment("3.11", "0.2.0", "0.27.0", "0.1.14", "1.3")
REFERENCE_SECS = 1e-4
#: The library of an artifact whose results are wrong.
WRONG = "wrong"
_RESTART_SECS = 2.0


class Fault(StrEnum):
    """What a board does instead of its work."""

    KILL = "kill"
    HANG = "hang"
    SLOW = "slow"
    WRONG = "wrong"
    INSTANT = "instant"
    ENDLESS = "endless"
    CLOCK_JUMP = "clock jump"
    DUPLICATE = "duplicate"
    LATE = "late"
    GARBAGE = "garbage"
    SHORT = "short"
    OTHER_DEVICE = "other device"
    FORGETFUL = "forgetful"


@dataclass
class Clock:
    """Seconds that pass when a crew waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeBoard:
    """A board. speed: how many times longer everything takes there; fault: of its n-th order, None where it works."""

    name: str
    fingerprint: str
    speed: float = 1.0
    fault: Callable[[int], Fault | None] = lambda _number: None
    environment: Environment = ENVIRONMENT
    trial_secs: float = 0.05
    incarnation: int = 1
    orders: int = 0
    busy_elsewhere: float = 0.0
    is_there: bool = True
    held: set[str] = field(default_factory=set)
    measured: list[tuple[float, float]] = field(default_factory=list)

    def restart(self) -> None:
        """Comes again without what it knew."""
        self.incarnation += 1
        self.is_there = True
        self.held.clear()


def truth(parcel: Parcel) -> Outcome:
    """What a board that works finds: toy artifacts say how long they take, or that they are wrong."""
    if str(parcel.artifact.library) == WRONG:
        return Outcome(Failure(FailureKind.WRONG_RESULT, "numbers", 0.1), None)
    return Outcome(
        Timing((float(str(parcel.artifact.library)),), parcel.artifact.build_secs), Check(0.0, 0.0)
    )


class FakeCrew:
    """Boards in simulated time; see `autotune.cluster.crew.Crew`. faults: how often each was met."""

    def __init__(self, boards: Iterable[FakeBoard], clock: Clock) -> None:
        self.boards = {board.name: board for board in boards}
        self.faults: list[Fault] = []
        self.dismissed: list[str] = []
        self._clock = clock
        self._events: list[tuple[float, int, Callable[[], Answer | None]]] = []
        self._numbers = itertools.count()

    def members(self) -> list[Member]:
        return [
            Member(board.name, board.incarnation, 1, board.environment, board.fingerprint)
            for board in self.boards.values()
            if board.is_there
        ]

    def send(self, member: str, ticket: int, order: Any) -> None:
        board = self.boards[member]
        board.orders += 1
        fault = board.fault(board.orders)
        if fault is not None:
            self.faults.append(fault)
        self._begin(board, ticket, order, fault)

    def receive(self, wait_secs: float) -> list[Answer]:
        until = self._clock.now + wait_secs
        found: list[Answer] = []
        while self._events and self._events[0][0] <= until and not found:
            self._clock.now, _, event = heapq.heappop(self._events)
            answer = event()
            if answer is not None:
                found += [answer] * (2 if isinstance(answer.value, _Twice) else 1)
        if not found:
            self._clock.now = until
        return [_single(answer) for answer in found]

    def dismiss(self, member: str) -> None:
        self.dismissed.append(member)
        self._away(self.boards[member])

    def stop(self, secs: float) -> None:
        """Lets time pass in which the boards stand still."""
        self._clock.now += secs
        self._events = [(time + secs, number, event) for time, number, event in self._events]

    def close(self) -> None:
        self._events.clear()

    def _begin(self, board: FakeBoard, ticket: int, order: Any, fault: Fault | None) -> None:
        speed = board.speed * (3.0 if fault is Fault.SLOW else 1.0)
        count = 1 if isinstance(order, SpeedupOrder) else len(order.parcels) + (order.reference is not None)
        secs = count * board.trial_secs * speed
        incarnation, started = board.incarnation, self._clock.now

        def finish() -> Answer | None:
            if board.incarnation != incarnation or not board.is_there:
                # Some answers are under way when their board is ended.
                return Answer(board.name, ticket, "too late") if fault is Fault.LATE else None
            if fault is Fault.KILL:
                self._away(board)
                return Answer(board.name, ticket, Lost("the node died"))
            board.measured.append((started, self._clock.now))
            value = 1.9 if isinstance(order, SpeedupOrder) else _report(board, order, fault, speed)
            return Answer(board.name, ticket, _Twice(value) if fault is Fault.DUPLICATE else value)

        if fault is Fault.HANG:
            return
        delay = secs / 2 if fault is Fault.KILL else 1e4 if fault is Fault.LATE else secs
        self._at(self._clock.now + delay, finish)

    def _away(self, board: FakeBoard) -> None:
        board.is_there = False

        def come_back() -> None:
            if not board.is_there:
                board.restart()

        self._at(self._clock.now + _RESTART_SECS, come_back)

    def _at(self, time: float, event: Callable[[], Answer | None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))


@dataclass(frozen=True)
class _Twice:
    value: Any


def _single(answer: Answer) -> Answer:
    return replace(answer, value=answer.value.value) if isinstance(answer.value, _Twice) else answer


def _report(board: FakeBoard, order: MeasureOrder, fault: Fault | None, speed: float) -> object:
    key = order.parcels[0].artifact.task.key
    if order.reference is not None or order.parcels[0].artifact.is_reference:
        board.held.update(parcel.artifact.task.key for parcel in order.parcels)
    reference_secs = REFERENCE_SECS * speed
    if fault is Fault.FORGETFUL or key not in board.held:
        board.held.clear()
        return MeasureReport((), board.fingerprint, reference_secs, "the untuned program has not run here")
    if fault is Fault.GARBAGE:
        return {"outcomes": None}
    outcomes = [truth(parcel) for parcel in order.parcels]
    if fault is Fault.WRONG:
        outcomes = [Outcome(Failure(FailureKind.WRONG_RESULT, "numbers", 0.1), None) for _ in outcomes]
    elif fault in _SECS:
        outcomes = [Outcome(Timing((_SECS[fault],), 0.1), Check(0.0, 0.0)) for _ in outcomes]
    elif speed != 1.0:
        outcomes = [
            replace(one, measurement=Timing((speed * one.measurement.secs,), 0.1))
            if isinstance(one.measurement, Timing)
            else one
            for one in outcomes
        ]
    if fault is Fault.SHORT:
        outcomes = outcomes[:-1]
    fingerprint = "another" if fault is Fault.OTHER_DEVICE else board.fingerprint
    return MeasureReport(tuple(outcomes), fingerprint, reference_secs, busy_elsewhere=board.busy_elsewhere)


_SECS = {Fault.INSTANT: 0.0, Fault.ENDLESS: math.inf, Fault.CLOCK_JUMP: 1e6}
