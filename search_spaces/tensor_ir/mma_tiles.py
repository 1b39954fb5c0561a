"""Block tiles for tensor cores whose every combination of answers fits the device: threads, registers, memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from search_spaces.tensor_ir.mma_formats import TILE, MmaFormat

_WARP = 32
_MOST_THREADS = 1024
_THREAD_REGISTERS = 255
_BLOCK_REGISTERS = 65536
#: Registers of a thread for addresses and counters, beside those for fragments.
_OTHER_REGISTERS = 40
#: Fragments along one side of a warp's tile, and warps along one side of a block's.
_MOST_FRAGMENTS, _MOST_WARPS = 4, 4
#: Instructions of a step of the pipeline.
MOST_DEPTH = 4
_MOST_STAGES = 5
_SIZES = (256, 128, 64, 32, 16)
_SUM_BYTES, _SUM_PADDING = 4, 8
_MOST_SHAPES = 12
_MOST_ASPECT = 4
_MOST_PADDING = 1.5


@dataclass(frozen=True, slots=True)
class Side:
    """The units of a block's tile along one axis: fixed_warps * fixed_fragments * open, of which the last is divided
    among warps and fragments by an answer."""

    units: int
    fixed_warps: int
    fixed_fragments: int

    @property
    def open(self) -> int:
        """Units that an answer divides."""
        return self.units // (self.fixed_warps * self.fixed_fragments)

    @property
    def splits(self) -> list[tuple[int, int]]:
        """Warps and fragments of each answer."""
        return [
            (self.fixed_warps * warps, self.fixed_fragments * self.open // warps)
            for warps in range(1, self.open + 1)
            if self.open % warps == 0
        ]


@dataclass(frozen=True, slots=True)
class BlockTile:
    """Rows and columns of results that a block of threads computes, and the numbers of pipeline stages that fit."""

    rows: Side
    columns: Side
    stages: tuple[int, ...]

    @property
    def name(self) -> str:
        """Rows by columns of elements."""
        return f"{self.rows.units * TILE}x{self.columns.units * TILE}"


@dataclass(frozen=True, slots=True)
class Capacity:
    """The limits of a block of threads; shared_bytes: with those that a launch has to ask for."""

    shared_bytes: int
    threads: int = _MOST_THREADS


def block_tiles(rows: int, columns: int, depth: int, form: MmaFormat, capacity: Capacity) -> list[BlockTile]:
    """The tiles for a product of that size, largest first; every answer of each fits the capacity.

    Tiles that would compute more than half again what was asked for are left out, as long as others are there.
    """
    few = min(rows, columns) <= TILE
    shapes = [
        (height, width)
        for height in _SIZES
        for width in _SIZES
        if few or max(height, width) <= _MOST_ASPECT * min(height, width)
    ]
    least = min(_padded(rows, columns, shape) for shape in shapes)
    found = []
    for shape in sorted(shapes, key=lambda one: (-prod(one), abs(one[0] - one[1]))):
        if _padded(rows, columns, shape) > _MOST_PADDING * least:
            continue
        tile = _tile(shape, depth, form, capacity)
        if tile is not None:
            found.append(tile)
    return found[:_MOST_SHAPES]


def _tile(shape: tuple[int, int], depth: int, form: MmaFormat, capacity: Capacity) -> BlockTile | None:
    height, width = shape
    rows, columns = _side(height), _side(width)
    for warps_i, fragments_i in rows.splits:
        for warps_j, fragments_j in columns.splits:
            threads = _WARP * warps_i * warps_j
            registers = fragment_registers(fragments_i, fragments_j, form) + _OTHER_REGISTERS
            if threads > capacity.threads or registers > _THREAD_REGISTERS:
                return None
            if threads * registers > _BLOCK_REGISTERS:
                return None
    steps = ceil(depth / (form.steps * MOST_DEPTH))
    stages = tuple(
        count
        for count in range(1, _MOST_STAGES + 1)
        if count <= max(steps, 1) and shared_bytes(shape, count, form) <= capacity.shared_bytes
    )
    # Without a pipeline the tensor cores wait for memory: only where none fits.
    return BlockTile(rows, columns, stages[1:] or stages) if stages else None


def fragment_registers(rows: int, columns: int, form: MmaFormat) -> int:
    """Registers of a thread for its share of so many fragments of sums, and of both operands."""
    return 8 * rows * columns + form.registers * (rows + columns)


def shared_bytes(shape: tuple[int, int], stages: int, form: MmaFormat) -> int:
    """Shared memory for both operands' tiles in all stages, in either layout; the sums' tile takes their place."""
    depth, padding = form.steps * MOST_DEPTH, form.row_padding
    elements = sum(max(size * (depth + padding), depth * (size + padding)) for size in shape)
    height, width = shape
    return max(stages * elements * form.item_bytes, height * (width + _SUM_PADDING) * _SUM_BYTES)


def _side(size: int) -> Side:
    units = size // TILE
    warps = ceil(units / _MOST_FRAGMENTS)
    return Side(units, warps, max(1, units // max(_MOST_WARPS, warps)))


def _padded(rows: int, columns: int, shape: tuple[int, int]) -> int:
    height, width = shape
    return ceil(rows / height) * height * ceil(columns / width) * width
