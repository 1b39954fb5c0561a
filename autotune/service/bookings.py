"""The bookings of the devices of the cluster that a service's jobs run on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from autotune.cluster.address import WorkersAddress
from autotune.service.own_command import CommandFailed, output_of
from search_spaces.errors import AutotuneError

#: A look at the cluster takes seconds, and is good for so long.
FRESH_SECS: Final = 15.0
_LOOK_SECS: Final = 120.0


@dataclass(frozen=True)
class BookingDocument:
    """A device of the cluster. place: where it is; job: that has it, None where it is free; held_secs: since it got it;
    left_secs: until the lease ends if it is not renewed; waiting: other jobs that wait for a device of the name."""

    device: str
    place: str
    job: str | None = None
    held_secs: float | None = None
    left_secs: float | None = None
    waiting: tuple[str, ...] = ()


def no_bookings() -> tuple[BookingDocument, ...]:
    """The bookings where there is no cluster that jobs share."""
    return ()


class ClusterBookings:
    """Looks at the bookings of a cluster, by a process of its own, whose connection ends with it.

    look: the devices as `autotune devices --workers --json` writes them; clock: seconds. Threads share one look.
    """

    def __init__(
        self,
        look: Callable[[], list[dict[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._clock = look, clock
        self._lock = threading.Lock()
        self._found: tuple[BookingDocument, ...] = ()
        self._until = -1.0

    def __call__(self) -> tuple[BookingDocument, ...]:
        """The bookings of at most 15 s ago. Raises AutotuneError where the cluster does not answer."""
        with self._lock:
            if self._clock() >= self._until:
                self._found = tuple(map(_document, self._look()))
                self._until = self._clock() + FRESH_SECS
            return self._found


def bookings_of(workers: WorkersAddress) -> Callable[[], tuple[BookingDocument, ...]]:
    """The bookings of the cluster at an address; none of workers that belong to one job each."""
    if workers.is_local or workers.is_private:
        return no_bookings
    return ClusterBookings(lambda: _ask(workers))


def _ask(workers: WorkersAddress) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(
            output_of(_LOOK_SECS, "devices", "--workers", workers.text, "--json")
        )
    except (ValueError, CommandFailed) as error:
        raise AutotuneError(
            f"expected the cluster at {workers.text} to tell its bookings, found: {error}; see that "
            "it runs, with autotune devices --workers",
            code="AT774",
        ) from error
    return found


def _document(row: dict[str, Any]) -> BookingDocument:
    booking = row["booking"] or {}
    return BookingDocument(
        row["device"],
        row["seat"],
        booking.get("job"),
        booking.get("held_secs"),
        booking.get("left_secs"),
        tuple(booking.get("waiting", ())),
    )
