"""Attention as one tensor program, whose scores exist for a block of rows at a time (imports TVM).

    softmax(change(query @ key)) @ value

The scores of long sequences are far larger than the operands, and than caches: written, read and written by the
softmax, and read again, they bound the speed of all three steps. Rabe and Staats, "Self-attention Does Not Need O(n²)
Memory" (2021), and Dao et al., "FlashAttention" (2022), do as much for accelerators; the scores of some rows with all
columns fit into the cache of a CPU's core, so that a softmax needs no second pass over the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from tvm import te, tirx

from search_spaces.tensor_ir.tile_choice import Columns, Rows, register_tile
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: The rule that schedules the program, see `attention_schedule`.
SCHEDULE_RULE: Final = "autotune.attention"
_MARK = {"schedule_rule": SCHEDULE_RULE}
#: Scores and their powers of one block, in half of a small second cache.
_BLOCK_BYTES = 192 << 10
_ELEMENT_BYTES = 4
#: Divided by the heights of all register tiles.
_MOST_ROWS = 60
#: The share of rows that may be computed for nothing at the end.
_MOST_WASTE = 0.05

#: The scores at a place of [batch…, rows, columns], scaled, masked or biased: (score, place) → score.
Change = Callable[[Any, tuple[Any, ...]], Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """rows: of a block of scores; columns: of a tile of them, as the keys are packed."""

    rows: int
    columns: int


def blocks_of(rows: int, columns: int, unit: VectorUnit) -> Blocks:
    """The blocks for scores of so many rows and columns."""
    tile = register_tile(Columns(_MOST_ROWS * unit.lanes), Rows(((0, _MOST_ROWS),), are_alike=True), unit)
    most = min(_BLOCK_BYTES // (_ELEMENT_BYTES * columns), _MOST_ROWS) // tile.height * tile.height
    heights = range(tile.height, max(most, tile.height) + 1, tile.height)
    wasted = {height: ceil(rows / height) * height / rows - 1.0 for height in heights}
    few = [height for height in heights if wasted[height] <= _MOST_WASTE]
    return Blocks(max(few) if few else min(heights, key=wasted.__getitem__), tile.width)


def attention(operands: tuple[te.Tensor, te.Tensor, te.Tensor], change: Change, blocks: Blocks) -> te.Tensor:
    """The attention of queries [batch…, rows, depth], keys [batch…, depth, columns], values [batch…, columns, width].

    The result is [batch…, rows, width].
    """
    query, key, value = operands
    *batch, rows, depth = map(int, query.shape)
    columns, width = map(int, value.shape[-2:])
    height, count = blocks.rows, ceil(rows / blocks.rows)
    tile, tiles = blocks.columns, ceil(columns / blocks.columns)
    last = len(batch)

    def padded_query(*at: Any) -> Any:
        row = at[last] * height + at[last + 1]
        return _padded((rows, count * height), row, lambda row: query[(*at[:last], row, at[-1])], 0.0)

    def packed_key(*at: Any) -> Any:
        column = at[last] * tile + at[-1]
        return _padded((columns, tiles * tile), column, lambda j: key[(*at[:last], at[-2], j)], 0.0)

    queries = te.compute([*batch, count, height, depth], padded_query, "queries")
    keys = te.compute([*batch, tiles, depth, tile], packed_key, "keys")
    scaled = _scores(queries, keys, change, (rows, columns))
    powers, total = softmax_parts(scaled)
    place = te.reduce_axis((0, columns), name="j")
    mixed = te.compute(
        [*batch, count, height, width],
        lambda *at: te.sum(powers[(*at[:-1], place)] * value[(*at[:last], place, at[-1])], axis=place),
        "mixed",
    )
    weighted = te.compute(mixed.shape, lambda *at: mixed[at] / total[at[:-1]], "weighted")
    return te.compute(
        [*batch, rows, width],
        lambda *at: weighted[(*at[:last], at[last] // height, at[last] % height, at[-1])],
        "attention",
        attrs=_MARK,
    )


def _scores(queries: te.Tensor, keys: te.Tensor, change: Change, sizes: tuple[int, int]) -> te.Tensor:
    """The changed scores [batch…, blocks, rows of a block, columns of all tiles], -inf in columns that do not exist."""
    *batch, count, height, depth = map(int, queries.shape)
    rows, columns = sizes
    last, width = len(batch), int(keys.shape[-1])
    total = int(keys.shape[last]) * width
    step = te.reduce_axis((0, depth), name="d")

    def product(*at: Any) -> Any:
        key = keys[(*at[:last], at[-1] // width, step, at[-1] % width)]
        return te.sum(queries[(*at[:-1], step)] * key, axis=step)

    shape = [*batch, count, height, total]
    scores = te.compute(shape, product, "scores")

    def changed(*at: Any) -> Any:
        row = at[last] * height + at[last + 1]
        if rows != count * height:
            row = tirx.min(row, rows - 1)
        return _padded(
            (columns, total), at[-1], lambda j: change(scores[at], (*at[:last], row, j)), -math.inf
        )

    return te.compute(shape, changed, "scaled")


def softmax_parts(scores: te.Tensor) -> tuple[te.Tensor, te.Tensor]:
    """The numerators [rows…, columns] of a softmax along the last axis, and its denominators [rows…]."""
    first, second = (te.reduce_axis((0, scores.shape[-1]), name="k") for _ in range(2))
    rows = scores.shape[:-1]
    largest = te.compute(rows, lambda *at: te.max(scores[(*at, first)], axis=first), "largest")
    powers = te.compute(scores.shape, lambda *at: te.exp(scores[at] - largest[at[:-1]]), "powers")
    return powers, te.compute(rows, lambda *at: te.sum(powers[(*at, second)], axis=second), "total")


def _padded(sizes: tuple[int, int], place: Any, value: Callable[[Any], Any], otherwise: float) -> Any:
    """The value at a place of an axis; `otherwise` at places beyond. sizes: of the axis, before and after."""
    before, after = sizes
    if before == after:
        return value(place)
    return tirx.if_then_else(place < before, value(place), tirx.const(otherwise, "float32"))
