"""Sketches of matrix products on the tensor cores of NVIDIA's GPUs (imports TVM).

A block of threads computes a tile of results. Both operands' tiles are copied to shared memory asynchronously, several
steps of the sum ahead; each warp loads fragments from there and multiplies them. The sums go through shared memory,
too, so that whatever follows the product is computed where its results are written, by vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.tensor_ir.matrix_product import MatrixProduct, matrix_product
from search_spaces.tensor_ir.mma_intrinsics import (
    FILL,
    OPERANDS,
    STORE,
    TILE,
    load_name,
    multiply_name,
    register_mma_intrinsics,
)
from search_spaces.tensor_ir.mma_tiles import (
    MOST_DEPTH,
    ROW_PADDING,
    BlockTile,
    Capacity,
    Side,
    block_tiles,
)

#: The annotation of the loop over a sum's steps with the number of stages, until `pipelined` replaces it.
STAGES = "meta_schedule.pipeline_stages"
_SHARED, _LOCAL = "shared.dyn", "local"
_WARP = 32
_VECTOR_BYTES = 16
_SUM = "float32"
#: Smaller products have nothing to share.
_LEAST_SIZE = 16
#: Rows of blocks that follow each other, so that they find the same columns in the L2 cache.
_MOST_GROUP = 8
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
    """Traces by name, `mma-128x64` for a block's tile of that size; none where the operator is no product of halves
    with sums in float32, or the target has no tensor cores of Ampere or later."""
    arch = _compute_capability(target)
    if arch < _LEAST_ARCH:
        return {}
    product = matrix_product(module)
    if product is None or product.in_dtype not in OPERANDS or product.sum_dtype != _SUM:
        return {}
    if min(product.rows, product.columns, product.depth) < _LEAST_SIZE:
        return {}
    register_mma_intrinsics()
    shared = max(_SHARED_BYTES.get(arch, 0), int(target.attrs["max_shared_memory_per_block"]))
    capacity = Capacity(shared, int(target.attrs["max_threads_per_block"]))
    traces = {}
    for tile in block_tiles(product.rows, product.columns, product.depth, capacity):
        try:
            traces[f"mma-{tile.name}"] = _Sketching(module, product, tile).trace()
        except (RuntimeError, ValueError, TypeError):
            # TVM cannot move what surrounds this product.
            return {}
    return traces


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


@dataclass(frozen=True)
class _Loops:
    """The loops of the product: of blocks, of warps, over the steps of the sum, and in a step; all_warps: factors whose
    product is the number of warps."""

    grid: Any
    warp: Any
    step: Any
    in_step: Any
    tile: Any
    all_warps: list[Any]


class _Sketching:
    """The schedule of one product with one tile."""

    def __init__(self, module: tvm.IRModule, product: MatrixProduct, tile: BlockTile) -> None:
        self.schedule = s_tir.Schedule(module, seed=1, debug_mask="none", error_render_level="none")
        self.product = product
        self.tile = tile

    def trace(self) -> Any:
        """The trace, its questions answered somehow."""
        schedule, product = self.schedule, self.product
        block = schedule.get_sblock(product.block)
        inlined = [schedule.get_sblock(name) for name in product.producers]
        self._pad(block)
        inlined += [
            one for one in schedule.get_producers(block) if not self._is_known(one, product.producers)
        ]
        output = self._output(block)
        schedule.set_scope(block, 0, _SHARED)
        sums = schedule.cache_write(block, 0, _LOCAL)
        loops = self._tile_loops(block)
        schedule.reverse_compute_at(sums, loops.warp)
        schedule.reverse_compute_at(output, loops.grid)
        operands = [self._operand(block, place, loops) for place in (0, 1)]
        for producer in reversed(inlined):
            schedule.compute_inline(producer)
        for place, (shared, fragments) in enumerate(operands):
            self._copy(shared, loops, self._operand_lanes(place))
            schedule.storage_align(shared, 0, -2, TILE, ROW_PADDING)
            self._tensorize(fragments, self._load(place))
        schedule.storage_align(sums, 0, -2, TILE, ROW_PADDING)
        self._tensorize(sums, STORE)
        self._copy(output, loops, self._output_lanes(output))
        fill = schedule.decompose_reduction(block, loops.step)
        schedule.tensorize(schedule.get_loops(fill)[-2], FILL)
        schedule.tensorize(loops.tile, self._multiply())
        count = len(self.tile.stages)
        stages = schedule.sample_categorical(list(self.tile.stages), [1.0 / count] * count)
        schedule.annotate(loops.step, STAGES, stages)
        return schedule.trace

    def _is_known(self, block: Any, names: tuple[str, ...]) -> bool:
        return str(self.schedule.get(block).name_hint) in names

    def _pad(self, block: Any) -> None:
        product, tile = self.product, self.tile
        wanted = [1] * len(product.extents)
        depth = TILE if product.depth % TILE == 0 or product.depth < TILE * MOST_DEPTH else TILE * MOST_DEPTH
        sizes = (tile.rows.units * TILE, tile.columns.units * TILE, depth)
        for place, size in zip(product.axes, sizes, strict=True):
            wanted[place] = size
        if any(extent % size for extent, size in zip(product.extents, wanted, strict=True)):
            self.schedule.pad_einsum(block, wanted)

    def _output(self, block: Any) -> Any:
        """The block that writes the operator's result, into which all others after the product are inlined."""
        schedule = self.schedule
        consumers = list(schedule.get_consumers(block))
        if not consumers:
            return schedule.cache_write(block, 0, _SHARED)
        [following] = consumers
        while after := list(schedule.get_consumers(following)):
            schedule.compute_inline(following)
            [following] = after
        return following

    def _tile_loops(self, block: Any) -> _Loops:
        schedule, product = self.schedule, self.product
        axes = schedule.get_loops(block)
        i, j, k = (axes[place] for place in product.axes)
        batch = [axis for place, axis in enumerate(axes) if place not in product.axes]
        i_grid, i_warps, i_fragments, i_tile, i_counts = self._side_loops(i, self.tile.rows)
        j_grid, j_warps, j_fragments, j_tile, j_counts = self._side_loops(j, self.tile.columns)
        k, k_tile = schedule.split(k, [None, TILE])
        step, in_step = schedule.split(k, schedule.sample_perfect_tile(k, 2, MOST_DEPTH))
        i_far, i_near = schedule.split(i_grid, schedule.sample_perfect_tile(i_grid, 2, _MOST_GROUP))
        order = [*batch, i_far, j_grid, i_near, *i_warps, *j_warps, step, in_step, *i_fragments, *j_fragments]
        schedule.reorder(*order, i_tile, j_tile, k_tile)
        grid = schedule.fuse(i_far, j_grid, i_near)
        if batch:
            schedule.bind(schedule.fuse(*batch) if len(batch) > 1 else batch[0], "blockIdx.y")
        schedule.bind(grid, "blockIdx.x")
        warp = schedule.fuse(*i_warps, *j_warps)
        schedule.bind(warp, "threadIdx.y")
        for loop in (*i_fragments, *j_fragments):
            schedule.unroll(loop)
        return _Loops(grid, warp, step, in_step, i_tile, [*i_counts, *j_counts])

    def _side_loops(self, loop: Any, side: Side) -> tuple[Any, list[Any], list[Any], Any, list[Any]]:
        """Loops of blocks, warps, fragments and elements of one axis, and the factors of the number of warps."""
        schedule = self.schedule
        sizes = [None, side.fixed_warps, side.open, side.fixed_fragments, TILE]
        grid, fixed_warps, open_, fixed_fragments, tile = schedule.split(loop, sizes)
        answer = schedule.sample_perfect_tile(open_, 2, side.open)
        warps, fragments = schedule.split(open_, answer)
        return grid, [fixed_warps, warps], [fragments, fixed_fragments], tile, [side.fixed_warps, answer[0]]

    def _operand(self, block: Any, place: int, loops: _Loops) -> tuple[Any, Any]:
        schedule = self.schedule
        shared = schedule.cache_read(block, place, _SHARED)
        fragments = schedule.cache_read(block, place, _LOCAL)
        schedule.compute_at(fragments, loops.in_step)
        schedule.compute_at(shared, loops.step)
        return shared, fragments

    def _copy(self, block: Any, loops: _Loops, lanes: int) -> None:
        """Distributes the last two loops of a block over all threads, each of which takes whole vectors."""
        schedule = self.schedule
        fused = schedule.fuse(*schedule.get_loops(block)[-2:])
        sizes = [None, *loops.all_warps, _WARP, *([lanes] if lanes > 1 else [])]
        _, *parts = schedule.split(fused, sizes)
        count = len(loops.all_warps)
        schedule.bind(schedule.fuse(*parts[:count]), "threadIdx.y")
        schedule.bind(parts[count], "threadIdx.x")
        if lanes > 1:
            schedule.vectorize(parts[-1])

    def _tensorize(self, block: Any, name: str) -> None:
        """Replaces the copy of fragments by an intrinsic."""
        schedule = self.schedule
        outer = [schedule.split(loop, [None, TILE]) for loop in schedule.get_loops(block)[-2:]]
        (i, i_tile), (j, j_tile) = outer
        schedule.reorder(i, j, i_tile, j_tile)
        schedule.unroll(i)
        schedule.unroll(j)
        schedule.tensorize(i_tile, name)

    def _load(self, place: int) -> str:
        product = self.product
        transposed = product.right_transposed if place else product.left_transposed
        return load_name(product.in_dtype, is_left=place == 0, is_transposed=transposed)

    def _multiply(self) -> str:
        product = self.product
        return multiply_name(
            product.in_dtype,
            left_transposed=product.left_transposed,
            right_transposed=product.right_transposed,
        )

    def _operand_lanes(self, place: int) -> int:
        product = self.product
        if place:
            row = product.depth if product.right_transposed else product.columns
        else:
            row = product.rows if product.left_transposed else product.depth
        return gcd(row, _VECTOR_BYTES // 2)

    def _output_lanes(self, block: Any) -> int:
        written = self.schedule.get(block).writes[0].source
        size = int(tvm.DataType(str(written.dtype)).bits) // 8
        return gcd(self.product.columns, _VECTOR_BYTES // max(size, 4))
