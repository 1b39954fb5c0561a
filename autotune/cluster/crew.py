"""The interface of crews: workers elsewhere, as a coordinator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from autotune.cluster.environment import Environment


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that is there.

    name: of its place, which it keeps when it is started anew; incarnation: counts these starts;
    slots: orders that it carries out at once; fingerprint: the key of its device's, empty where it measures none.
    """

    name: str
    incarnation: int
    slots: int
    environment: Environment
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker went away with an order, or did not take it."""

    reason: str


#: Of the answer of a worker that was lost before it had an order, as where it did not start.
NO_TICKET: Final = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an order. ticket: of the order; value: the worker's result, or Lost."""

    member: str
    ticket: int
    value: Any


class Crew(Protocol):
    """Workers of one kind; those that are lost are started anew, under the same name, where that is possible."""

    def members(self) -> Sequence[Member]:
        """The workers that are there now; asks for no news, so that it is cheap."""
        ...

    def send(self, member: str, ticket: int, order: Any) -> None:
        """Gives an order to a worker; what fails is an answer."""
        ...

    def receive(self, wait_secs: float) -> Sequence[Answer]:
        """Answers that have arrived, waiting so long for the first; several answers to one order may come."""
        ...

    def dismiss(self, member: str) -> None:
        """Ends a worker that hangs, with what it has."""
        ...

    def close(self) -> None:
        """Ends all workers, or leaves those that are not this coordinator's."""
        ...
