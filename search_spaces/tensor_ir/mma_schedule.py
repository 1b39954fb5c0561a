"""Sketches of matrix products, and of convolutions as such, on the tensor cores of NVIDIA's GPUs (imports TVM).

A block of threads computes a tile of results. Both operands' tiles are copied to shared memory asynchronously, several
steps of the sum ahead; each warp loads fragments from there and multiplies them. The sums go through shared memory,
too, so that whatever follows the product is computed where its results are written, by vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import tvm

from search_spaces.tensor_ir.implicit_product import LEAST_SIZE, product_form
from search_spaces.tensor_ir.matrix_product import MatrixProduct
from search_spaces.tensor_ir.mma_formats import TILE, MmaFormat, find_format
from search_spaces.tensor_ir.mma_intrinsics import register_mma_intrinsics
from search_spaces.tensor_ir.mma_sketch import STAGES, MmaSketch
from search_spaces.tensor_ir.mma_tiles import MOST_DEPTH, BlockTile, Capacity, block_tiles
from search_spaces.tensor_ir.tensor_cores import has_tensor_cores, shared_memory_bytes

# Blocks that a GPU runs at a time, about: where a product has half as many, its sums are split into parts.
_BLOCKS = 128
_PARTS = (16, 8, 4, 2)
# Counts of parts that are tried with a tile, and tiles that any are tried with.
_MOST_SPLITS = 2
_MOST_SPLIT_TILES = 4
_FLOAT = "float32"


@dataclass(frozen=True)
class MmaSketches:
    """Traces by name, `mma-128x64` for a block's tile of that size, with `-split4` for sums in four parts.

    module: that the traces schedule, see `product_form`; is_float32: whether other units compute the product as
    exactly, and sometimes as fast.
    """

    module: tvm.IRModule
    traces: Mapping[str, Any]
    is_float32: bool


def mma_sketches(module: tvm.IRModule, target: tvm.target.Target) -> MmaSketches | None:
    """The sketches of a product, or of a contraction as one; None where the operator is none that tensor cores
    multiply, or the target has no tensor cores of Ampere or later."""
    found = product_form(module) if has_tensor_cores(target) else None
    if found is None:
        return None
    scheduled, product = found
    form = find_format(product.in_dtype, product.sum_dtype)
    if form is None or min(product.rows, product.columns, product.depth) < LEAST_SIZE:
        return None
    register_mma_intrinsics()
    capacity = Capacity(shared_memory_bytes(target), int(target.attrs["max_threads_per_block"]))
    traces = {}
    tiles = block_tiles(product.rows, product.columns, product.depth * product.count, form, capacity)
    for tile, parts in [*((tile, 1) for tile in tiles), *_splits(tiles, product, form)]:
        try:
            trace = MmaSketch(scheduled, product, form, tile, parts).trace()
        except (RuntimeError, ValueError, TypeError):
            # TVM cannot move what surrounds this product.
            break
        traces[f"mma-{tile.name}" + (f"-split{parts}" if parts > 1 else "")] = trace
    return MmaSketches(scheduled, traces, product.in_dtype == _FLOAT) if traces else None


def _splits(tiles: list[BlockTile], product: MatrixProduct, form: MmaFormat) -> list[tuple[BlockTile, int]]:
    """Tiles and numbers of parts into which each sum is split: few results with long sums leave a GPU idle."""
    least = 2 * MOST_DEPTH * form.steps
    found = []
    for tile in tiles:
        height, width = tile.rows.units * TILE, tile.columns.units * TILE
        blocks = product.batch * ceil(product.rows / height) * ceil(product.columns / width)
        fitting = [parts for parts in _PARTS if blocks * parts <= _BLOCKS and product.depth >= parts * least]
        found += [(tile, parts) for parts in fitting[:_MOST_SPLITS]]
    return found[: _MOST_SPLITS * _MOST_SPLIT_TILES]


class Pipelining:
    """A postprocessor that turns the number of stages of a loop into TVM's annotations of a software pipeline."""

    def apply(self, schedule: Any) -> bool:
        """Rewrites the schedule; it cannot fail."""
        for each in schedule.trace.insts:
            if each.kind.name != "Annotate" or str(each.attrs[0]) != STAGES:
                continue
            loop, stages = each.inputs[0], int(schedule.get(each.inputs[1]))
            schedule.unannotate(loop, STAGES)
            if stages > 1:
                # Two copies, then all that reads them.
                schedule.annotate(loop, "software_pipeline_stage", [0, 0, stages - 1])
                schedule.annotate(loop, "software_pipeline_order", [0, 1, 2])
                schedule.annotate(loop, "software_pipeline_async_stages", [0])
        return True
