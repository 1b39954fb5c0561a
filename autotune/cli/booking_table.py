"""The table of a cluster's devices and the jobs that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotune.jobs.durations import show_duration
from autotune.jobs.table import Column, Table


@dataclass(frozen=True, slots=True)
class BookingRow:
    """A row: a device, its place, and the job that has it, for how long; the jobs that wait for one like it."""

    device: str
    place: str
    job: str | None
    held_secs: float | None
    left_secs: float | None
    waiting: tuple[str, ...]


def booking_table(title: str, rows: Sequence[BookingRow]) -> Table:
    """The table of bookings."""
    columns = (
        Column("device", 6, 16),
        Column("place", 9, 40),
        Column("booked by", 9, 24),
        Column("for", 5),
        Column("ends in", 7),
        Column("waiting", 7),
    )
    cells = tuple(
        (
            f"ray:{one.device}",
            one.place,
            one.job or "–",
            _show(one.held_secs),
            _show(one.left_secs),
            ", ".join(one.waiting),
        )
        for one in rows
    )
    return Table(title, columns, cells)


def _show(secs: float | None) -> str:
    return "–" if secs is None else show_duration(secs)
