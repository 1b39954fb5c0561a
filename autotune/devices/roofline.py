"""The roofline model: the least time of a program on a machine whose peaks are known.

Williams, Waterman and Patterson, "Roofline", CACM 52 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Roof(msgspec.Struct, frozen=True):
    """The bandwidth for data that fits into so many bytes."""

    working_set_bytes: int
    bytes_per_sec: float


class Roofline(msgspec.Struct, frozen=True):
    """A device's measured peaks: float32 operations a second, and the roofs of its memories."""

    flops_per_sec: float
    roofs: tuple[Roof, ...]


@dataclass(frozen=True, slots=True)
class Ideal:
    """The least time of a program under a roofline.

    secs: for its operations or for moving its inputs and outputs once, whichever takes longer;
    is_bound_by_memory: which of the two it was; intensity: its operations for each byte.
    """

    secs: float
    is_bound_by_memory: bool
    intensity: float


def ideal(roofline: Roofline, flops: float, moved_bytes: int) -> Ideal:
    """The least time of a program with so many operations on so many bytes of inputs and outputs."""
    computing = flops / roofline.flops_per_sec
    moving = moved_bytes / bandwidth(roofline, moved_bytes)
    return Ideal(max(computing, moving), moving > computing, flops / max(moved_bytes, 1))


def bandwidth(roofline: Roofline, working_set_bytes: int) -> float:
    """Bytes a second for data of that size: the roof of the smallest memory into which it fits."""
    roofs = sorted(roofline.roofs, key=lambda roof: roof.working_set_bytes)
    fitting = [roof for roof in roofs if roof.working_set_bytes >= working_set_bytes]
    return (fitting or roofs[-1:])[0].bytes_per_sec


def higher(one: Roofline, other: Roofline) -> Roofline:
    """The better of each of two measurements of a device, since a disturbance only makes it slower."""
    rates = {roof.working_set_bytes: roof.bytes_per_sec for roof in one.roofs}
    roofs = tuple(
        Roof(roof.working_set_bytes, max(roof.bytes_per_sec, rates.get(roof.working_set_bytes, 0.0)))
        for roof in other.roofs
    )
    return Roofline(max(one.flops_per_sec, other.flops_per_sec), roofs)
