"""The choice of a register tile: how many rows of how many vectors of results the innermost loops keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil

from search_spaces.factorization import factorizations
from search_spaces.tensor_ir.vector_unit import IN_FLIGHT, SLACK, VectorUnit

_TALLEST = 16
_MOST_VECTORS = 6
#: Sums for each load that keep multiply-adds busy where scalars are loaded and spread by an instruction of their own.
_SUMS_PER_LOAD = 1.4
#: The speed of loops with a remainder, beside those without.
_UNEVEN = 0.95
#: So many tasks for each core leave none of them without work for long, whatever their number.
TASKS_PER_CORE = 8


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
    """Place and extent of the axes that may be cut into rows.

    are_alike: whether all rows multiply the same columns; repeats: of the axes that may have a remainder, how many
    times they are computed for each block of columns. An axis with a remainder is not cut into tasks.
    """

    axes: tuple[tuple[int, int], ...]
    are_alike: bool
    repeats: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Columns:
    """The number of columns, of those among which a tile may lie, and whether there may be a remainder."""

    extent: int
    may_be_uneven: bool = False


def register_tile(columns: Columns, rows: Rows, unit: VectorUnit) -> RegisterTile:
    """The tile that keeps multiply-adds and registers busiest; one without remainder where that does as well."""
    best, best_merit = RegisterTile(None, 1, 1, vector_lanes(columns.extent, unit.lanes)), (0.0, 0.0)
    most = max(IN_FLIGHT, (unit.registers - 2 * unit.scalar_registers) // 2)
    for vectors, lanes, filled in _widths(columns, unit):
        blocks = max(columns.extent // (vectors * lanes), 1)
        for place, height, whole in _heights(rows, blocks, unit):
            sums = height * vectors
            loads = (height if lanes > 1 else 0) + vectors if rows.are_alike else sums
            if not unit.holds(height, vectors) or (not rows.are_alike and sums > most):
                continue
            busy = _busy(sums, loads, rows, unit)
            merit = (round(busy * whole * filled, 2), sums / (height + vectors))
            if merit > best_merit:
                best, best_merit = RegisterTile(place, height, vectors, lanes), merit
    return best


def _busy(sums: int, loads: int, rows: Rows, unit: VectorUnit) -> float:
    """The share of the multiply-add units' time that a tile without remainders keeps them busy."""
    in_flight = IN_FLIGHT * (SLACK if rows.are_alike else 1.0)
    per_load = 1.0 if unit.spreads_operands or not rows.are_alike else _SUMS_PER_LOAD
    return min(1.0, sums / in_flight) * min(1.0, sums / (per_load * loads))


def keeps_busy(tasks: int, unit: VectorUnit) -> bool:
    """Whether so many equal tasks leave no core without work for long."""
    return tasks % unit.cores == 0 or tasks >= TASKS_PER_CORE * unit.cores


def _heights(rows: Rows, blocks: int, unit: VectorUnit) -> Iterator[tuple[int | None, int, float]]:
    """Places and heights of tiles, with the share of their rows that there are, for so many blocks of columns."""
    yield None, 1, 1.0
    for place, extent in rows.axes:
        may_be_uneven = place in rows.repeats and keeps_busy(rows.repeats[place] * blocks, unit)
        for height in range(2, min(extent, _TALLEST) + 1):
            if extent % height == 0:
                yield place, height, 1.0
            elif may_be_uneven:
                yield place, height, _UNEVEN * extent / (ceil(extent / height) * height)


def _widths(columns: Columns, unit: VectorUnit) -> Iterator[tuple[int, int, float]]:
    """Vectors and lanes of tiles, with the share of their lanes that do something."""
    lanes = vector_lanes(columns.extent, unit.lanes)
    for vectors in divisors(columns.extent // lanes):
        if vectors <= _MOST_VECTORS:
            yield vectors, lanes, lanes / unit.lanes
    if columns.may_be_uneven and lanes < unit.lanes <= columns.extent:
        # The last vector alone is shorter: of more, TVM would leave conditions, and compute number by number. Of a
        # single block the memory is as narrow as the columns, and vectors in it cross lines of the cache.
        whole = ceil(columns.extent / unit.lanes)
        for vectors in divisors(whole)[:-1]:
            if vectors <= _MOST_VECTORS:
                yield vectors, unit.lanes, _UNEVEN * columns.extent / (whole * unit.lanes)


def vector_lanes(extent: int, most: int) -> int:
    """The widest vector, a power of two, that divides an extent."""
    return min(extent & -extent, most) if extent > 0 else 1


def row_lanes(extent: int, most: int) -> int:
    """Lanes of the vectors along a row, the last of which may be shorter where that makes fewer of them."""
    even = vector_lanes(extent, most)
    return most if extent >= most and ceil(extent / most) < extent // even else even


def divisors(number: int) -> list[int]:
    """All of them, in ascending order."""
    return sorted(outer for outer, _ in factorizations(number, 2, -1))
