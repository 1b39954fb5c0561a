"""The loop nest of a tiled operator: iteration space and memory accesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from search_spaces.config import Config
from search_spaces.decision import Answer

Floats = NDArray[np.float64]

_LINE_BYTES = 64.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One iterator of an operator, of that many steps."""

    extent: int
    is_reduction: bool


@dataclass(frozen=True, slots=True)
class Term:
    """A term of an index expression: coefficient × (step // period). Groups of channels have a period beyond 1."""

    axis: int
    coefficient: float
    period: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """A buffer that the operator reads or writes.

    buffer: its name. dims: for each of its dimensions, the terms of the index.
    is_packed: a weight whose layout follows the schedule, so that whatever is touched lies together.
    """

    buffer: str
    dims: tuple[tuple[Term, ...], ...]
    shape: tuple[int, ...]
    item_bytes: int
    is_output: bool
    is_packed: bool

    def stride(self, axis: int) -> float:
        """The stride in items along an axis; 0 where the index does not depend on it, or changes only every period."""
        size, steps = 1.0, 0.0
        for dim, extent in zip(reversed(self.dims), reversed(self.shape), strict=True):
            steps += size * sum(
                abs(term.coefficient) for term in dim if term.axis == axis and term.period == 1
            )
            size *= extent
        return steps

    def periods(self, axis: int) -> tuple[int, ...]:
        """The periods of the index along an axis, where it does not change at every step."""
        return tuple(
            term.period for dim in self.dims for term in dim if term.axis == axis and term.period > 1
        )

    def spans(self, tiles: Floats) -> list[Floats]:
        """For each dimension (n,) items from the first to the last that tiles of (n, axes) steps touch."""
        spans = []
        for dim, extent in zip(self.dims, self.shape, strict=True):
            span = np.ones(len(tiles))
            for term in dim:
                span += abs(term.coefficient) * (np.ceil(tiles[:, term.axis] / term.period) - 1)
            spans.append(np.minimum(span, extent))
        return spans

    def touched_bytes(self, tiles: Floats) -> Floats:
        """(n,) bytes that tiles of (n, axes) steps touch, whole cache lines where they are not packed."""
        items = self.spans(tiles)
        row = (items[-1] if items else np.ones(len(tiles))) * self.item_bytes
        if not self.is_packed:
            row = np.ceil(row / _LINE_BYTES) * _LINE_BYTES
        for span in items[:-1]:
            row = row * span
        return row


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of the scheduled operator: one factor of the tiling of an axis.

    decision and level: which factor of which answer is its extent. constant: the extent where it is not asked for.
    """

    axis: int
    decision: str
    level: int
    constant: int


@dataclass(frozen=True, slots=True)
class LoopNest:
    """A tiled operator: its loops from outside to inside.

    attachments: places in the loops at which later operators are computed, as the sketch fixes them.
    """

    axes: tuple[Axis, ...]
    accesses: tuple[Access, ...]
    loops: tuple[Loop, ...]
    attachments: tuple[int, ...] = ()

    @property
    def iterations(self) -> float:
        """The number of executions of the innermost statement."""
        return float(np.prod([float(axis.extent) for axis in self.axes]))

    @property
    def contiguous_axis(self) -> int:
        """The axis along which the output is contiguous in memory, -1 where there is none."""
        for access in self.accesses:
            if access.is_output:
                unit = [place for place, _ in enumerate(self.axes) if access.stride(place) == 1.0]
                return max(unit, key=lambda place: self.axes[place].extent, default=-1)
        return -1

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The places of the loops of each tile level, from outside to inside (SSRSRS has six)."""
        keys = [(self.axes[loop.axis].is_reduction, loop.level) for loop in self.loops]
        return tuple(
            tuple(place for place, _ in run) for _, run in groupby(enumerate(keys), key=lambda pair: pair[1])
        )

    def extents(self, configs: Sequence[Config]) -> Floats:
        """(n, loops) steps of each loop under each config."""
        return np.array([self.steps(config.by_name) for config in configs], dtype=np.float64).reshape(
            len(configs), len(self.loops)
        )

    def steps(self, answers: Mapping[str, Answer]) -> list[int]:
        """Steps of each loop under the answers of one config, by decision."""
        row = []
        for loop in self.loops:
            answer = answers.get(loop.decision)
            if isinstance(answer, tuple) and loop.level < len(answer):
                row.append(answer[loop.level])
            else:
                row.append(loop.constant)
        return row

    def tiles(self, extents: Floats) -> Floats:
        """(loops + 1, n, axes) steps along each axis at and inside each loop; the last is the statement alone."""
        found = np.ones((len(self.loops) + 1, len(extents), len(self.axes)))
        for place in range(len(self.loops) - 1, -1, -1):
            found[place] = found[place + 1]
            found[place, :, self.loops[place].axis] *= extents[:, place]
        return found
