"""Sketches of matrix products on the tensor cores of NVIDIA's GPUs (imports TVM).

A block of threads computes a tile of results. Both operands' tiles are copied to shared memory asynchronously, several
steps of the sum ahead; each warp loads fragments from there and multiplies them. The sums go through shared memory,
too, so that whatever follows the product is computed where its results are written, by vectors.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import tvm

from search_spaces.tensor_ir.matrix_product import MatrixProduct, matrix_product
from search_spaces.tensor_ir.mma_formats import TILE, MmaFormat, find_format
from search_spaces.tensor_ir.mma_intrinsics import register_mma_intrinsics
from search_spaces.tensor_ir.mma_sketch import STAGES, MmaSketch
from search_spaces.tensor_ir.mma_tiles import MOST_DEPTH, BlockTile, Capacity, block_tiles

#: Smaller products have nothing to share.
_LEAST_SIZE = 16
# Blocks that a GPU runs at a time, about: where a product has half as many, its sums are split into parts.
_BLOCKS = 128
_PARTS = (16, 8, 4, 2)
# Counts of parts that are tried with a tile, and tiles that any are tried with.
_MOST_SPLITS = 2
_MOST_SPLIT_TILES = 4
_LEAST_ARCH = 80
#: Bytes of shared memory that a launch may ask for, by compute capability; TVM's tags know the 48 KiB before that.
_SHARED_BYTES = {
    80: 166912,
    86: 101376,
    87: 166912,
    89: 101376,
    90: 232448,
    100: 232448,
    103: 232448,
    120: 101376,
}


def mma_sketches(module: tvm.IRModule, target: tvm.target.Target) -> dict[str, Any]:
    """Traces by name, `mma-128x64` for a block's tile of that size, with `-split4` for sums in four parts; none where
    the operator is no product that these multiply, or the target has no tensor cores of Ampere or later."""
    arch = _compute_capability(target)
    if arch < _LEAST_ARCH:
        return {}
    product = matrix_product(module)
    form = None if product is None else find_format(product.in_dtype, product.sum_dtype)
    if product is None or form is None:
        return {}
    if min(product.rows, product.columns, product.depth) < _LEAST_SIZE:
        return {}
    register_mma_intrinsics()
    shared = max(_SHARED_BYTES.get(arch, 0), int(target.attrs["max_shared_memory_per_block"]))
    capacity = Capacity(shared, int(target.attrs["max_threads_per_block"]))
    traces = {}
    tiles = block_tiles(product.rows, product.columns, product.depth, form, capacity)
    for tile, parts in [*((tile, 1) for tile in tiles), *_splits(tiles, product, form)]:
        try:
            trace = MmaSketch(module, product, form, tile, parts).trace()
        except (RuntimeError, ValueError, TypeError):
            # TVM cannot move what surrounds this product.
            break
        traces[f"mma-{tile.name}" + (f"-split{parts}" if parts > 1 else "")] = trace
    return traces


def _splits(tiles: list[BlockTile], product: MatrixProduct, form: MmaFormat) -> list[tuple[BlockTile, int]]:
    """Tiles and numbers of parts into which each sum is split: few results with long sums leave a GPU idle."""
    least = 2 * MOST_DEPTH * form.steps
    batch = prod(product.extents) // (product.rows * product.columns * product.depth)
    found = []
    for tile in tiles:
        height, width = tile.rows.units * TILE, tile.columns.units * TILE
        blocks = batch * ceil(product.rows / height) * ceil(product.columns / width)
        fitting = [parts for parts in _PARTS if blocks * parts <= _BLOCKS and product.depth >= parts * least]
        found += [(tile, parts) for parts in fitting[:_MOST_SPLITS]]
    return found[: _MOST_SPLITS * _MOST_SPLIT_TILES]


def has_float32_product(module: tvm.IRModule) -> bool:
    """Whether the operator is a product that other units compute as exactly, and sometimes as fast."""
    product = matrix_product(module)
    return product is not None and product.in_dtype == "float32"


def _compute_capability(target: tvm.target.Target) -> int:
    """As in sm_80; 0 for what is no GPU of NVIDIA."""
    if str(target.kind.name) != "cuda":
        return 0
    digits = "".join(one for one in str(target.attrs.get("arch", "")) if one.isdigit())
    return int(digits or 0)


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
