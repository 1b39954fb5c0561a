"""The blocks of an operator: each is computed in a nest of its own, or within the loops of a block that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import Self

import numpy as np

from cost_models.features.loop_nest import Access, Axis, LoopNest
from search_spaces.decision import Answer

#: The answer instead of a loop: the block is inlined into its reader.
_INLINED = -2
_PLACES = 3
_PER_PLACE = ("around", "own", "sums", "row", "again")

#: The columns of `chain_row`, all log2 but for the number of nests.
CHAIN_COLUMNS = (
    *(f"block{place}_{what}" for place in range(_PLACES) for what in _PER_PLACE),
    "shared_steps",
    "all_steps",
    "separate_nests",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block before its compute location is decided.

    axes, accesses: as the operator has them; an access names the buffer.
    tile and execution: of a split reduction (`rfactor`), the decision on its tile, and the factor that both halves
    iterate over: `is_partial` is true for the half that sums over the other factor. factors: the tile where the
    decision has one choice only, and a config does not answer it.
    """

    axes: tuple[Axis, ...]
    accesses: tuple[Access, ...]
    tile: str = ""
    execution: int = 0
    is_partial: bool = False
    factors: tuple[int, ...] = ()

    @property
    def written(self) -> Access:
        """The access to the output buffer."""
        return next(access for access in self.accesses if access.is_output)


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of a block under one config, from outside.

    around: extents of the loops that belong to its readers. own: of each further loop its iterator's place and extent.
    sums:   places of the reduction iterators.
    """

    around: tuple[int, ...]
    own: tuple[tuple[int, int], ...]
    sums: frozenset[int]

    @property
    def extents(self) -> tuple[int, ...]:
        """The extents of all loops."""
        return (*self.around, *(extent for _, extent in self.own))

    def steps(self, outside: int) -> list[int]:
        """Steps of each iterator inside the outermost `outside` of the block's own loops."""
        found = [1] * (1 + max((place for place, _ in self.own), default=-1))
        for place, extent in self.own[outside:]:
            found[place] *= extent
        return found


@dataclass(frozen=True, slots=True)
class BlockChain:
    """The blocks of a sketch by name, and those whose location a config decides, readers before the blocks they read.

    readers:   by block, the blocks that read it, each with its first access to it.
    locations: decisions on compute locations, with their blocks.
    nests:     the loop nests of tiled blocks.
    attached:  blocks that the sketch itself inlines or attaches.
    """

    blocks: Mapping[str, Block]
    readers: Mapping[str, Mapping[str, Access]]
    locations: tuple[tuple[str, str], ...]
    nests: Mapping[str, LoopNest]
    attached: frozenset[str]

    @classmethod
    def of(
        cls,
        blocks: Mapping[str, Block],
        locations: tuple[tuple[str, str], ...],
        nests: Mapping[str, LoopNest],
        attached: frozenset[str],
    ) -> Self:
        """A chain with the readers of each block, which are the same for every config."""
        return cls(blocks, {name: _readers(blocks, name) for name in blocks}, locations, nests, attached)

    def loops(self, answers: Mapping[str, Answer]) -> dict[str, Loops]:
        """The loops of every block that is not inlined, as TVM generates them."""
        return _Placement(self, answers).found


def _readers(blocks: Mapping[str, Block], name: str) -> dict[str, Access]:
    written = blocks[name].written.buffer
    found: dict[str, Access] = {}
    for reader, block in blocks.items():
        for access in block.accesses:
            if not access.is_output and access.buffer == written:
                found.setdefault(reader, access)
    return found


def chain_row(chain: BlockChain, answers: Mapping[str, Answer]) -> list[float]:
    """The features of a config's compute locations: loops and recomputation of the first blocks with a location.

    NaN for an inlined block. shared_steps: of the loops around all attached blocks, which threads can share.
    """
    found = chain.loops(answers)
    row: list[float] = []
    placed = [name for _, name in chain.locations]
    for name in placed[:_PLACES]:
        row += _place(chain.blocks[name], found[name]) if name in found else [float("nan")] * len(_PER_PLACE)
    row += [float("nan")] * len(_PER_PLACE) * (_PLACES - len(placed[:_PLACES]))
    around = [prod(found[name].around) for name in placed if name in found and found[name].around]
    steps = [prod(loops.extents) for loops in found.values()]
    separate = sum(not loops.around for loops in found.values())
    return [*row, log2(min(around)) if around else float("nan"), log2(sum(steps)), float(separate)]


def _place(block: Block, loops: Loops) -> list[float]:
    steps = loops.steps(0)
    sums = prod(steps[place] for place in loops.sums)
    own = prod(steps) // sums
    contiguous = [place for place, _ in enumerate(block.axes) if block.written.stride(place) == 1.0]
    row = steps[max(contiguous) + bool(block.tile)] if contiguous else 1
    whole = prod(axis.extent for axis in block.axes)
    # The steps of a split reduction's other factor belong to its other half.
    again = log2(prod(loops.extents) / whole)
    return [log2(prod(loops.around)), log2(own), log2(sums), log2(row), again]


class _Placement:
    """Places the blocks of one config, from the last to the first."""

    def __init__(self, chain: BlockChain, answers: Mapping[str, Answer]) -> None:
        self._chain, self._blocks, self._answers = chain, chain.blocks, answers
        self._inlined = set(chain.attached)
        later = self._inlined.union(block for _, block in chain.locations)
        self.found = {name: self._apart(name) for name in chain.blocks if name not in later}
        for decision, name in chain.locations:
            answer = answers.get(decision)
            reader = self._reader(name) or ""
            if answer == _INLINED:
                self._inlined.add(name)
            elif not isinstance(answer, int) or answer < 0 or reader not in self.found:
                self.found[name] = self._apart(name)
            else:
                around = self.found[reader].extents[: answer + 1]
                needed = self._needed(name, len(around))
                self.found[name] = Loops(around, tuple(enumerate(needed)), self._sums(self._blocks[name]))

    def _factors(self, block: Block) -> tuple[int, int]:
        """Steps of a split reduction: those of both halves, and those that the first half sums over."""
        answer = self._answers.get(block.tile)
        tile = answer if isinstance(answer, tuple) else block.factors
        return tile[block.execution], tile[1 - block.execution]

    def _iterators(self, block: Block) -> list[int]:
        """Extents of a block's iterators: TVM puts that of a split reduction first."""
        if not block.tile:
            return [axis.extent for axis in block.axes]
        lanes, rest = self._factors(block)
        spatial = [axis.extent for axis in block.axes if not axis.is_reduction]
        return [lanes, *spatial, *([rest] if block.is_partial else [])]

    def _sums(self, block: Block) -> frozenset[int]:
        if not block.tile:
            return frozenset(place for place, axis in enumerate(block.axes) if axis.is_reduction)
        return frozenset([len(self._iterators(block)) - 1 if block.is_partial else 0])

    def _apart(self, name: str) -> Loops:
        """The loops of a nest of its own: tiled, or in the order in which the reduction was split."""
        block = self._blocks[name]
        nest = self._chain.nests.get(name)
        if nest is not None:
            axes = [loop.axis for loop in nest.loops]
            return Loops((), tuple(zip(axes, nest.steps(self._answers), strict=True)), self._sums(block))
        extents = self._iterators(block)
        order = list(range(len(extents)))
        if block.tile:
            split = [0, order[-1]] if block.is_partial else [0]
            order = [place for place in order if place not in split]
            order += split if block.execution == 0 else split[::-1]
        return Loops((), tuple((place, extents[place]) for place in order), self._sums(block))

    def _reader(self, name: str) -> str | None:
        """The first block with loops that reads this one, through inlined blocks."""
        reader = next(iter(self._chain.readers[name]), None)
        return self._reader(reader) if reader in self._inlined and reader is not None else reader

    def _steps(self, name: str, outside: int) -> list[int]:
        """Steps of a block's iterators inside the outermost loops."""
        loops = self.found.get(name)
        if loops is None or outside < len(loops.around):
            return self._needed(name, outside)
        return loops.steps(outside - len(loops.around))

    def _needed(self, name: str, outside: int) -> list[int]:
        """The part of a block that is read inside the outermost loops, as steps of the block's iterators."""
        readers = self._chain.readers[name].items()
        needs = [self._needed_by(reader, read, name, outside) for reader, read in readers]
        return [max(steps) for steps in zip(*needs, strict=True)] or self._iterators(self._blocks[name])

    def _needed_by(self, reader: str, read: Access, name: str, outside: int) -> list[int]:
        block, whole = self._blocks[name], self._iterators(self._blocks[name])
        steps = self._steps(reader, outside)
        if block.is_partial:
            return [*steps, whole[-1]]
        tiles = self._tiles(self._blocks[reader], steps)
        spans = read.spans(np.array([tiles], dtype=np.float64))
        needed = {
            term.axis: int(span[0])
            for dim, span in zip(block.written.dims, spans, strict=True)
            for term in dim
        }
        axes = [needed.get(place, axis.extent) for place, axis in enumerate(block.axes)]
        return [whole[0], *axes[: len(whole) - 1]] if block.tile else axes

    def _tiles(self, block: Block, steps: list[int]) -> list[int]:
        """Steps along the operator's axes; those of a split reduction go to the innermost axes."""
        if not block.tile:
            return steps
        left, tiles = steps[0] * steps[-1], [1] * len(block.axes)
        spatial = iter(steps[1:-1])
        for place in range(len(block.axes) - 1, -1, -1):
            if block.axes[place].is_reduction:
                tiles[place] = min(left, block.axes[place].extent)
                left = ceil(left / tiles[place])
        for place, axis in enumerate(block.axes):
            if not axis.is_reduction:
                tiles[place] = next(spatial)
        return tiles
