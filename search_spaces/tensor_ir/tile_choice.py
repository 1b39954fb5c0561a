"""The choice of a register tile: how many rows of how many vectors of results the innermost loops keep."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.factorization import factorizations
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Independent multiply-adds that hide their latency: two a cycle, four cycles each.
_IN_FLIGHT = 8
_TALLEST = 16
_MOST_VECTORS = 6


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """row: the place of the axis that is cut into pieces of height steps, None where none is; vectors of lanes
    numbers each along the columns."""

    row: int | None
    height: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        """Columns of the tile."""
        return self.vectors * self.lanes


@dataclass(frozen=True, slots=True)
class Rows:
    """Place and extent of the axes that may be cut into rows; are_alike: whether all multiply the same columns."""

    axes: tuple[tuple[int, int], ...]
    are_alike: bool


def register_tile(columns: int, rows: Rows, unit: VectorUnit) -> RegisterTile:
    """The best tile without remainder."""
    lanes = vector_lanes(columns, unit.lanes)
    widths = [each for each in divisors(columns // lanes) if each <= _MOST_VECTORS]
    best, best_merit = RegisterTile(None, 1, 1, lanes), (0.0, 0.0)
    for place, extent in (*rows.axes, (None, 1)):
        for height in divisors(extent):
            if height > _TALLEST or (height > 1 and place is None):
                continue
            for vectors in widths:
                sums = height * vectors
                loads = (height if lanes > 1 else 0) + vectors if rows.are_alike else sums
                if sums + vectors + unit.scalar_registers > unit.registers:
                    continue
                merit = (
                    round(min(1.0, sums / _IN_FLIGHT) * min(1.0, sums / loads), 2),
                    sums / (height + vectors),
                )
                if merit > best_merit:
                    best = RegisterTile(place if height > 1 else None, height, vectors, lanes)
                    best_merit = merit
    return best


def vector_lanes(extent: int, most: int) -> int:
    """The widest vector, a power of two, that divides an extent."""
    return min(extent & -extent, most) if extent > 0 else 1


def divisors(number: int) -> list[int]:
    """All of them, in ascending order."""
    return sorted(outer for outer, _ in factorizations(number, 2, -1))
