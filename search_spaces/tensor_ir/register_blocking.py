"""Tilings that keep a block of results in vector registers for as long as possible, drawn at random.

The innermost loops of a fast matrix product or convolution on a CPU update a few rows of a few vectors of results,
enough of them to hide the latency of multiply-adds and few enough to stay in registers: Goto and van de Geijn,
"Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008). Uniform draws rarely are of that form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.decision import Answer, Decision
from search_spaces.factorization import factorizations
from search_spaces.tensor_ir.vector_unit import IN_FLIGHT, SLACK, VectorUnit

_SPATIAL_LEVELS = 4
_REDUCTION_LEVELS = 2
#: The widest innermost loop that is vectorised, and the longest that is unrolled.
_WIDEST = 64
_TALLEST = 16
#: The width of tiles whose rows do not divide a loop.
VECTORS = 2
#: How many times as likely a block is drawn that does twice as much with each load.
_FAVOUR = 3.0
#: More parallel tasks for each core bring no better balance.
_TASKS_PER_CORE = 16
_ATTEMPTS = 20
#: What all rows of a task read again and again, its columns of one operand: half of a small second cache.
_PANEL_BYTES = 1 << 17
_ELEMENT_BYTES = 4
#: How often a task's panel is kept that small.
_SMALL_PANELS = 0.75


@dataclass(frozen=True, slots=True)
class _TiledBlock:
    """The decisions that tile one block: its spatial loops in order, then its reductions.

    rows: for each spatial loop, how many rows each of its steps stands for, see `Sketch.rows`.
    """

    spatial: tuple[Decision, ...]
    reductions: tuple[Decision, ...]
    rows: tuple[int, ...]

    @property
    def extents(self) -> list[int]:
        return [_extent(decision) for decision in self.spatial]


class RegisterBlocking:
    """Draws the answers of one sketch; `is_possible` tells whether it tiles anything into registers."""

    def __init__(self, decisions: Sequence[Decision], unit: VectorUnit, rows: Mapping[str, int]) -> None:
        """rows: how many rows each step of a tiled loop stands for, see `Sketch.rows`."""
        self._decisions = tuple(decisions)
        self._unit = unit
        self._blocks = _tiled_blocks(decisions, rows)
        self._tiles = [self._register_tiles(block) for block in self._blocks]

    @property
    def is_possible(self) -> bool:
        """Whether a block of the sketch has loops to tile, with a reduction inside."""
        return bool(self._blocks)

    def draw(self, rng: np.random.Generator) -> dict[str, Answer]:
        """An answer to each decision, by name."""
        answers: dict[str, Answer] = {}
        for block, (tiles, odds) in zip(self._blocks, self._tiles, strict=True):
            inner = tiles[int(rng.choice(len(tiles), p=odds))]
            answers |= self._tilings(block, inner, rng)
        for decision in self._decisions:
            if decision.name not in answers:
                answers[decision.name] = self._other(decision, rng)
        return answers

    def _tilings(
        self, block: _TiledBlock, inner: Sequence[int], rng: np.random.Generator
    ) -> dict[str, Answer]:
        rest = [extent // size for extent, size in zip(block.extents, inner, strict=True)]
        column = _column(block.extents)
        depth = math.prod(_extent(decision) for decision in block.reductions)
        panel = max(_PANEL_BYTES // (_ELEMENT_BYTES * depth * inner[column]), 1)
        # Where rows have a remainder, each task has all of them: it is computed once, and its conditions are constant.
        shared = [1 if rows > 1 else extent for extent, rows in zip(rest, block.rows, strict=True)]
        outer = self._parallel_tasks(
            shared, column, panel if rng.random() < _SMALL_PANELS else rest[column], rng
        )
        answers: dict[str, Answer] = {
            decision.name: _nearest(decision, (tasks, left // tasks, 1, size))
            for decision, tasks, left, size in zip(block.spatial, outer, rest, inner, strict=True)
        }
        for decision in block.reductions:
            # Results stay in registers for a whole reduction, or it is cut to what the first cache holds.
            longest = max(decision.choices, key=_innermost)
            cut = decision.choices[int(rng.integers(len(decision.choices)))]
            answers[decision.name] = longest if rng.random() < 0.5 else cut
        return answers

    def _register_tiles(self, block: _TiledBlock) -> tuple[list[list[int]], NDArray[np.float64]]:
        """Innermost extents of the loops, with their odds: vectors along the last, rows along one of the others."""
        extents = block.extents
        column = _column(extents)
        cut = [axis for axis, rows in enumerate(block.rows) if rows > 1]
        tiles, merits = [], []
        for width in self._widths(extents[column]):
            vectors = math.ceil(width / self._unit.lanes)
            filled = width / (vectors * self._unit.lanes)
            for axis in cut or range(max(column, 1)):
                for height in _divisors(extents[axis] if axis < column else 1, _TALLEST):
                    rows = height * block.rows[axis]
                    sums = rows * vectors
                    if self._unit.holds(rows, vectors):
                        tile = [1] * len(extents)
                        tile[axis] = height
                        tile[column] = width
                        tiles.append(tile)
                        merit = min(1.0, sums / IN_FLIGHT) * min(1.0, sums / (rows + vectors))
                        merits.append((filled * merit) ** _FAVOUR)
        return tiles, np.array(merits) / sum(merits)

    def _widths(self, extent: int) -> list[int]:
        """Innermost extents: one, two, four… whole vectors, since LLVM spills others; what there is where none fit."""
        widths = _divisors(extent, _WIDEST)
        whole = [each for each in widths if each % self._unit.lanes == 0]
        return [each for each in whole if (each // self._unit.lanes).bit_count() == 1] or widths

    def _parallel_tasks(
        self, extents: list[int], column: int, most_columns: int, rng: np.random.Generator
    ) -> list[int]:
        """Outermost factors whose product keeps all cores equally busy, as far as the extents allow.

        Tasks are left with at most so many blocks of columns.
        """
        cores = self._unit.cores
        divisors = [_divisors(extent, extent) for extent in extents]
        splits = [each for each in divisors[column] if each <= _TASKS_PER_CORE * cores]
        narrow = [each for each in splits if extents[column] // each <= most_columns] or splits[-1:]
        best, best_balance = [1] * len(extents), 0.0
        best[column] = narrow[0]
        for _ in range(_ATTEMPTS):
            factors = [_drawn(each, rng) for each in divisors]
            factors[column] = _drawn(narrow, rng)
            tasks = math.prod(factors)
            if tasks > _TASKS_PER_CORE * cores:
                continue
            balance = tasks / (cores * math.ceil(tasks / cores))
            if balance > best_balance:
                best, best_balance = factors, balance
            if balance > 0.95:
                break
        return best

    def _other(self, decision: Decision, rng: np.random.Generator) -> Answer:
        """Loops are unrolled, and what feeds a block is computed before it or at the end of a level of its tiles."""
        choices = list(decision.choices)
        if decision.name.rpartition("/")[2].startswith("unroll"):
            # The most is the best for one operator in five, and takes the compiler two to five times as long.
            less = [choice for choice in choices[:-1] if choice != 0]
            choices = [*less, *less, choices[-1]]
        elif decision.name.rpartition("/")[2].startswith("location") and self._blocks:
            spatial, reductions = len(self._blocks[0].spatial), len(self._blocks[0].reductions)
            ends = (-1, spatial - 1, 2 * spatial - 1, 2 * spatial + reductions - 1)
            choices = [choice for choice in choices if choice in ends] or choices
        return choices[int(rng.integers(len(choices)))]


def tile_heights(unit: VectorUnit) -> list[int]:
    """Rows of two vectors that leave multiply-adds some slack and still fit into the registers, the most first."""
    least = math.ceil(SLACK * IN_FLIGHT / VECTORS)
    most = (unit.registers - unit.scalar_registers - VECTORS) // VECTORS
    return list(range(most, least - 1, -1))


def idle_rows(remainder: int) -> int:
    """The number of additional rows of two vectors that a partial last tile could hold in the time that it takes."""
    return max(IN_FLIGHT // VECTORS - remainder, 0) if remainder else 0


def _tiled_blocks(decisions: Sequence[Decision], rows: Mapping[str, int]) -> tuple[_TiledBlock, ...]:
    """Spatial tilings with the reductions that follow them; a spatial one after a reduction opens the next group."""
    groups: list[tuple[list[Decision], list[Decision]]] = []
    for decision in decisions:
        levels = _levels(decision)
        if levels == _SPATIAL_LEVELS:
            if not groups or groups[-1][1]:
                groups.append(([], []))
            groups[-1][0].append(decision)
        elif levels == _REDUCTION_LEVELS and groups:
            groups[-1][1].append(decision)
    return tuple(
        _TiledBlock(tuple(spatial), tuple(reductions), tuple(rows.get(each.name, 1) for each in spatial))
        for spatial, reductions in groups
        if reductions
    )


def _column(extents: Sequence[int]) -> int:
    """The place of the last loop that is one."""
    return max(place for place, extent in enumerate(extents) if extent > 1 or place == 0)


def _levels(decision: Decision) -> int:
    first = decision.choices[0]
    return len(first) if isinstance(first, tuple) and min(first) > 0 else 0


def _extent(decision: Decision) -> int:
    first = decision.choices[0]
    return math.prod(first) if isinstance(first, tuple) else 1


def _innermost(answer: Answer) -> int:
    return answer[-1] if isinstance(answer, tuple) else 0


def _nearest(decision: Decision, tiling: tuple[int, ...]) -> Answer:
    """The tiling, or where a space does not offer it the choice with the nearest inner factors."""
    if tiling in decision.choices:
        return tiling

    def distance(choice: Answer) -> float:
        factors = choice if isinstance(choice, tuple) else tiling
        return sum(
            2.0**place * abs(math.log2(have / want))
            for place, (have, want) in enumerate(zip(factors, tiling, strict=True))
        )

    return min(decision.choices, key=distance)


def _divisors(number: int, limit: int) -> list[int]:
    return [outer for outer, _ in factorizations(number, 2, -1) if outer <= limit]


def _drawn(numbers: list[int], rng: np.random.Generator) -> int:
    return numbers[int(rng.integers(len(numbers)))]
