"""The interface of workers whose devices several jobs share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from autotune.cluster.layout import Seat
from autotune.cluster.lease_book import Booking


@runtime_checkable
class Booked(Protocol):
    """Workers that tell which job has which device."""

    def devices(self) -> list[tuple[str, Seat, Booking | None]]:
        """The devices by name, each with its seat, and its booking where a job has it."""
        ...
