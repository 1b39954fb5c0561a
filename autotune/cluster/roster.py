"""The standing of workers: at work, or left alone for a while or for good, with the reason."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from autotune.cluster.crew import Member
from autotune.cluster.environment import Environment
from autotune.workers.backoff import Backoff

#: Devices under one name are alike: their reference kernels take at most this factor more, or less.
ALIKE: Final = 1.5
_BACKOFF = Backoff(first_secs=1.0, longest_secs=60.0)
# After so many false answers in a row nothing that a worker says is believed.
_MOST_LIES = 3
# After so many times in a row a device whose reference kernel takes another time is another device.
_MOST_TROUBLES = 3
_REMEMBERED = 5
# A system does a little all the time.
_BUSY_PROCESSORS = 0.5
# Of fewer others the oldest decides.
_JURY = 3


class Condition(StrEnum):
    """The condition of a worker; LOST, SLOW and FAST may change back to AT_WORK."""

    AT_WORK = "at work"
    LOST = "lost"
    SLOW = "slow"
    FAST = "fast"
    LYING = "lying"
    UNLIKE = "unlike the others"
    REFUSED = "refused"


_FOR_GOOD = (Condition.LYING, Condition.UNLIKE, Condition.REFUSED)


@dataclass(slots=True)
class Standing:
    """The record of a worker.

    troubles: in a row; until: seconds of the clock; reason: of the condition; is_unlike_by_clock: whether its speed
    alone is unlike the others'; busy_elsewhere: processors that other programs used during its last order.
    """

    condition: Condition = Condition.AT_WORK
    reason: str = ""
    troubles: int = 0
    lies: int = 0
    until: float = 0.0
    is_unlike_by_clock: bool = False
    busy_elsewhere: float = 0.0
    reference_secs: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Roster:
    """The standing of the workers of one crew.

    environment, fingerprint: of the coordinator and its device, which every worker must have too; clock: seconds.
    """

    def __init__(
        self, environment: Environment, fingerprint: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._environment, self._fingerprint, self._clock = environment, fingerprint, clock
        self._standings: dict[str, Standing] = {}
        self._admitted: dict[str, int] = {}

    def standing(self, member: str) -> Standing:
        """A worker's standing."""
        return self._standings.setdefault(member, Standing())

    def at_work(self, members: Sequence[Member]) -> list[Member]:
        """Filters workers: those that may be given orders now."""
        return [member for member in members if self._admits(member)]

    @property
    def notices(self) -> list[str]:
        """A sentence of each worker that is not at work, and why, and of each that other programs disturb."""
        away = [
            f"{name} is {one.condition}: {one.reason}"
            for name, one in self._standings.items()
            if one.condition is not Condition.AT_WORK
        ]
        busy = [
            f"other programs use {one.busy_elsewhere:.1f} processors of {name} while it measures"
            for name, one in self._standings.items()
            if one.condition is Condition.AT_WORK and one.busy_elsewhere > _BUSY_PROCESSORS
        ]
        return away + busy

    def is_out(self, member: str) -> bool:
        """Whether a worker is left alone for good."""
        return self.standing(member).condition in _FOR_GOOD

    def fits(self, member: Member) -> bool:
        """Whether a worker has the versions and the device that are wanted, however it has behaved."""
        return (
            self._environment.refusal(member.environment) is None and member.fingerprint == self._fingerprint
        )

    def note_loss(self, member: str, reason: str) -> None:
        """Leaves a worker alone that was lost or hung, longer each time."""
        self._set_aside(member, Condition.LOST, reason)

    def note_lie(self, member: str, reason: str) -> None:
        """Leaves a worker alone that gave an answer that cannot be; for good after the third in a row."""
        standing = self.standing(member)
        standing.lies += 1
        lying = standing.lies >= _MOST_LIES
        self._set_aside(member, Condition.LYING if lying else Condition.LOST, reason)

    def note_unlike(self, member: str, reason: str) -> None:
        """Leaves a worker alone for good, whose device is another than the others'."""
        self._set_aside(member, Condition.UNLIKE, reason)

    def note_truth(self, member: str) -> None:
        """Takes in an answer that is believed."""
        standing = self.standing(member)
        standing.troubles = standing.lies = 0
        if standing.condition in (Condition.LOST, Condition.SLOW, Condition.FAST):
            standing.condition, standing.reason = Condition.AT_WORK, ""

    def note_reference(self, member: str, secs: float) -> bool:
        """Takes in a time of the reference kernel; False where the worker's device is slow or fast beside the others'.

        The others are those at work, of which the oldest decides where two disagree. Whoever is disturbed, the times
        cannot be compared; a device of which that is found three times is unlike the others.
        """
        usual, witness = self._usual_secs(member)
        self.standing(member).reference_secs.append(secs)
        if usual is None or 1 / ALIKE <= secs / usual <= ALIKE:
            return True
        reason = (
            f"its reference kernel took {1e6 * secs:.0f} µs, that of {witness} takes {1e6 * usual:.0f} µs; "
            "boards under one name must be alike: give it another name, or see what disturbs it"
        )
        self._set_aside(member, Condition.FAST if secs < usual else Condition.SLOW, reason)
        if self.standing(member).troubles >= _MOST_TROUBLES:
            self.note_unlike(member, reason)
            self.standing(member).is_unlike_by_clock = True
        return False

    def readmit(self, members: Sequence[Member]) -> None:
        """Lets workers in again whose speed alone was unlike the others', where no other is there.

        Those who are away have no say any more: they may have been the disturbed ones.
        """
        present = {member.name for member in members}
        if not present or not all(map(self.is_out, present)):
            return
        for name, standing in self._standings.items():
            if name not in present:
                standing.reference_secs.clear()
        for name in present:
            if self.standing(name).is_unlike_by_clock:
                self._standings[name] = Standing()

    def _usual_secs(self, member: str) -> tuple[float | None, str]:
        """The usual time of the reference kernel on the other workers' devices, and the worker that speaks for it."""
        others = {
            name: statistics.median(one.reference_secs)
            for name, one in self._standings.items()
            if name != member and one.reference_secs and one.condition in (Condition.AT_WORK, Condition.LOST)
        }
        if not others:
            return None, ""
        witness = next(iter(others))
        if len(others) < _JURY:
            return others[witness], witness
        return statistics.median(others.values()), f"most of {len(others)} others"

    def _admits(self, member: Member) -> bool:
        standing = self.standing(member.name)
        if self._admitted.get(member.name) != member.incarnation:
            self._admitted[member.name] = member.incarnation
            self._examine(member)
        return not self.is_out(member.name) and self._clock() >= standing.until

    def _examine(self, member: Member) -> None:
        """Refuses a worker of other versions, and one whose device has other facts."""
        refusal = self._environment.refusal(member.environment)
        if refusal is not None:
            self._set_aside(member.name, Condition.REFUSED, refusal)
        elif member.fingerprint != self._fingerprint:
            self.note_unlike(
                member.name,
                f"its device's fingerprint is {member.fingerprint or 'none'}, the others' is {self._fingerprint}; "
                "boards under one name must be alike: give it another name",
            )
        elif self.standing(member.name).condition is Condition.REFUSED:
            self._standings[member.name] = Standing()

    def _set_aside(self, member: str, condition: Condition, reason: str) -> None:
        standing = self.standing(member)
        standing.troubles += 1
        standing.condition, standing.reason = condition, reason
        standing.until = self._clock() + _BACKOFF.pause_secs(standing.troubles)
