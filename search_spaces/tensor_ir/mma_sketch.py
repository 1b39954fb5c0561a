"""The schedule of one product on tensor cores, as a trace that asks for tiles, warps and stages (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import tvm

from search_spaces.tensor_ir.fresh_schedule import fresh_schedule
from search_spaces.tensor_ir.implicit_product import last_after
from search_spaces.tensor_ir.matrix_product import MatrixProduct
from search_spaces.tensor_ir.mma_formats import TILE, MmaFormat
from search_spaces.tensor_ir.mma_intrinsics import fill_name, load_name, multiply_name, store_name
from search_spaces.tensor_ir.mma_tiles import MOST_DEPTH, BlockTile, Side

#: The annotation of the loop over a sum's steps with the number of stages, until `Pipelining` replaces it.
STAGES = "meta_schedule.pipeline_stages"
_SHARED, _LOCAL = "shared.dyn", "local"
_WARP = 32
_VECTOR_BYTES = 16
_COMPUTED_BYTES = 4
# Elements that are added to each row of sums in shared memory, so that 8 rows lie in different banks.
_SUM_PADDING = 8
# Rows of blocks that follow each other, so that they find the same columns in the L2 cache.
_MOST_GROUP = 8
# Threads of a block that adds partial sums.
_ADDING_THREADS = 128


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


class MmaSketch:
    """The schedule of one product with one tile; parts: of each sum, which another kernel adds where there are more."""

    def __init__(
        self,
        module: tvm.IRModule,
        product: MatrixProduct,
        form: MmaFormat,
        tile: BlockTile,
        parts: int = 1,
    ) -> None:
        self.schedule = fresh_schedule(module)
        self.product = product
        self.form = form
        self.tile = tile
        self.parts = parts

    def trace(self) -> Any:
        """The trace, its questions answered somehow."""
        schedule, product = self.schedule, self.product
        block = schedule.get_sblock(product.block)
        inlined = [schedule.get_sblock(name) for name in product.producers]
        self._pad(block)
        inlined += [
            one for one in schedule.get_producers(block) if not self._is_known(one, product.producers)
        ]
        block, output = (block, self._output(block)) if self.parts == 1 else self._split_sum(block)
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
            schedule.storage_align(shared, 0, -2, self.form.steps, self.form.row_padding)
            self._tensorize(fragments, self._load(place), self._fragment(place))
        schedule.storage_align(sums, 0, -2, TILE, _SUM_PADDING)
        self._tensorize(sums, store_name(self.form.sum_dtype), (TILE, TILE))
        self._copy(output, loops, self._output_lanes(output))
        fill = schedule.decompose_reduction(block, loops.step)
        schedule.tensorize(schedule.get_loops(fill)[-2], fill_name(self.form.sum_dtype))
        schedule.tensorize(loops.tile, self._multiply())
        count = len(self.tile.stages)
        stages = schedule.sample_categorical(list(self.tile.stages), [1.0 / count] * count)
        schedule.annotate(loops.step, STAGES, stages)
        return schedule.trace

    def _is_known(self, block: Any, names: tuple[str, ...]) -> bool:
        return str(self.schedule.get(block).name_hint) in names

    def _paddings(self) -> list[int]:
        """Multiples to pad the axes of the product to, empty where they are."""
        product, tile = self.product, self.tile
        wanted = [1] * len(product.extents)
        steps = self.form.steps * self.parts
        is_short = product.depth % steps == 0 or product.depth < steps * MOST_DEPTH
        depth = steps if is_short else steps * MOST_DEPTH
        sizes = (tile.rows.units * TILE, tile.columns.units * TILE, depth)
        for place, size in zip(product.axes, sizes, strict=True):
            wanted[place] = size
        is_even = all(extent % size == 0 for extent, size in zip(product.extents, wanted, strict=True))
        return [] if is_even else wanted

    def _pad(self, block: Any) -> None:
        if wanted := self._paddings():
            self.schedule.pad_einsum(block, wanted)

    def _output(self, block: Any) -> Any:
        """The block that writes what the product's blocks of threads compute."""
        last = last_after(self.schedule, block)
        return self.schedule.cache_write(block, 0, _SHARED) if last is None else last

    def _split_sum(self, block: Any) -> tuple[Any, Any]:
        """The block of partial sums, and the one that writes these; a thread of another kernel adds a result's."""
        schedule, place = self.schedule, self.product.axes[2]
        part, _ = schedule.split(schedule.get_loops(block)[place], [self.parts, None])
        partial = schedule.rfactor(part, factor_axis=0)
        total = schedule.get_sblock(self.product.block)
        last = last_after(schedule, total)
        if last is None:
            loops = list(schedule.get_loops(total))
            added = loops.pop(place)
            schedule.reorder(*loops, added)
            self._thread_per_element(loops)
        else:
            thread = self._thread_per_element(list(schedule.get_loops(last)))
            schedule.set_scope(total, 0, _LOCAL)
            schedule.compute_at(total, thread)
        return partial, schedule.cache_write(partial, 0, _SHARED)

    def _thread_per_element(self, loops: list[Any]) -> Any:
        schedule = self.schedule
        fused = schedule.fuse(*loops) if len(loops) > 1 else loops[0]
        grid, thread = schedule.split(fused, [None, _ADDING_THREADS])
        schedule.bind(grid, "blockIdx.x")
        schedule.bind(thread, "threadIdx.x")
        return thread

    def _tile_loops(self, block: Any) -> _Loops:
        schedule, product = self.schedule, self.product
        axes = list(schedule.get_loops(block))
        batch = [axes.pop(product.axes[2])] if self.parts > 1 else []
        i, j, k = (axes[place] for place in product.axes)
        added = [axes[place] for place in product.added]
        batch += [
            axis
            for place, axis in enumerate(axes)
            if place not in product.axes and place not in product.added
        ]
        i_grid, i_warps, i_fragments, i_tile, i_counts = self._side_loops(i, self.tile.rows)
        j_grid, j_warps, j_fragments, j_tile, j_counts = self._side_loops(j, self.tile.columns)
        k, k_tile = schedule.split(k, [None, self.form.steps])
        step, in_step = schedule.split(k, schedule.sample_perfect_tile(k, 2, MOST_DEPTH))
        i_far, i_near = schedule.split(i_grid, schedule.sample_perfect_tile(i_grid, 2, _MOST_GROUP))
        order = [*batch, i_far, j_grid, i_near, *i_warps, *j_warps, *added, step, in_step]
        schedule.reorder(*order, *i_fragments, *j_fragments, i_tile, j_tile, k_tile)
        step = schedule.fuse(*added, step) if added else step
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
        row, column = schedule.get_loops(block)[-2:]
        # Cut before loops are fused: whether a vector is read then depends on none of its elements.
        column, *lane = schedule.split(column, [None, lanes]) if lanes > 1 else [column]
        _, *parts = schedule.split(schedule.fuse(row, column), [None, *loops.all_warps, _WARP])
        *warps, thread = parts
        schedule.bind(schedule.fuse(*warps), "threadIdx.y")
        schedule.bind(thread, "threadIdx.x")
        for each in lane:
            schedule.vectorize(each)

    def _tensorize(self, block: Any, name: str, shape: tuple[int, int]) -> None:
        """Replaces the copy of fragments of that shape by an intrinsic."""
        schedule = self.schedule
        loops = schedule.get_loops(block)[-2:]
        outer = [schedule.split(loop, [None, size]) for loop, size in zip(loops, shape, strict=True)]
        (i, i_tile), (j, j_tile) = outer
        schedule.reorder(i, j, i_tile, j_tile)
        schedule.unroll(i)
        schedule.unroll(j)
        schedule.tensorize(i_tile, name)

    def _load(self, place: int) -> str:
        product = self.product
        transposed = product.right_transposed if place else product.left_transposed
        return load_name(product.in_dtype, is_left=place == 0, is_transposed=transposed)

    def _fragment(self, place: int) -> tuple[int, int]:
        """The shape of a fragment of an operand."""
        product, steps = self.product, self.form.steps
        by_rows = product.right_transposed if place else not product.left_transposed
        return (TILE, steps) if by_rows else (steps, TILE)

    def _multiply(self) -> str:
        product = self.product
        return multiply_name(
            product.in_dtype,
            left_transposed=product.left_transposed,
            right_transposed=product.right_transposed,
        )

    def _operand_lanes(self, place: int) -> int:
        product = self.product
        size = self.form.item_bytes
        # TVM writes no CUDA C++ for more than four bytes that are computed, be it the zeros of a padding.
        is_copied = size > 1 or (not self._paddings() and not product.producers)
        return gcd(product.runs[place], _VECTOR_BYTES // size if is_copied else _COMPUTED_BYTES)

    def _output_lanes(self, block: Any) -> int:
        written = self.schedule.get(block).writes[0].source
        size = int(tvm.DataType(str(written.dtype)).bits) // 8
        return gcd(self.product.columns, _VECTOR_BYTES // max(size, 4))
