"""Loops of elementwise stages, copies and gathers on a CPU: in parallel outside, vectors inside (imports TVM)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tvm import s_tir, tirx

from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.stage import Stage, is_contiguous, is_interleaved, is_var, period
from search_spaces.tensor_ir.tile_choice import row_lanes, vector_lanes
from search_spaces.tensor_ir.vector_unit import VectorUnit

#: Less work than this is done before the other cores have begun: steps, a call counting as many.
LEAST_STEPS = 1 << 14
_STEPS_A_CALL = 16
#: Streams whose vectors LLVM interleaves.
_MOST_STREAMS = 8
#: Rows and columns of a transposed square: numbers in a line of the cache.
_TILE = 16
#: Parallel tasks for each core that keep all of them busy to the end.
_TASKS_PER_CORE = 16


def schedule_spatial(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> None:
    """Vectors along the last axis, or along all of them where nothing is moved; raises ValueError for reductions."""
    if stage.reductions:
        raise ValueError("a reduction")
    loops = list(schedule.get_loops(stage.block))
    extents = [axis.extent for axis in stage.axes]
    if len(loops) > 1 and _is_elementwise(stage):
        _fuse_all(schedule, loops, extents, lanes_of(stage, unit))
    crossing = _crossing_axis(stage)
    if crossing is not None:
        is_uneven = _tile_transposition(schedule, loops, extents, crossing)
        if is_uneven and _keep_busy(extents[:-1], unit):
            schedule.annotate(loops.pop(), CUT, 1)
            extents.pop()
    elif loops and extents[-1] is not None:
        _vectorize_last(schedule, stage, loops, extents, unit)
    if _has_parts(stage, extents[:-1], unit):
        schedule.annotate(loops.pop(), CUT, 1)
        extents.pop()
    if is_enough(stage):
        parallelize(schedule, loops, extents, unit)


def _fuse_all(schedule: s_tir.Schedule, loops: list[Any], extents: list[int | None], lanes: int) -> None:
    """Makes one loop of all, or two; extents: of the loops, which are updated."""
    place = _first_of_whole_vectors(extents, lanes)
    for part in (slice(place, None), slice(0, place)):
        if len(loops[part]) > 1:
            loops[part] = [schedule.fuse(*loops[part])]
            extents[part] = [_product(extents[part])]


def _first_of_whole_vectors(extents: Sequence[int | None], lanes: int) -> int:
    """The place from which on axes are whole vectors together, where the last one alone is not; 0 where none is.

    With more of them in its loop than that, TVM shortens a part of the index by what it shares with the vector, cannot
    put the parts together again, and gathers.
    """
    if extents[-1] is None or extents[-1] % lanes == 0:
        return 0
    products = ((place, _product(extents[place:])) for place in range(len(extents) - 1, 0, -1))
    return next((place for place, product in products if product is not None and product % lanes == 0), 0)


def _product(extents: Sequence[int | None]) -> int | None:
    known = [extent for extent in extents if extent is not None]
    return prod(known) if len(known) == len(extents) else None


def _crossing_axis(stage: Stage) -> int | None:
    """The place of the axis along which a read lies together that the last axis strides over, as in a transposition;
    None where there is no such read, or too little of it to fill lines of the cache."""
    wide = [place for place, axis in enumerate(stage.axes) if (axis.extent or 0) >= _TILE // 2]
    last = len(stage.axes) - 1
    if not stage.is_exact or stage.branches or last not in wide:
        return None
    strided = [
        indices for _, indices in stage.reads if indices and not is_contiguous(indices, stage.axes[last])
    ]
    crossing = (
        place
        for indices in strided
        for place in wide
        if place != last and is_var(indices[-1], stage.axes[place])
    )
    return next(crossing, None)


def _tile_transposition(
    schedule: s_tir.Schedule, loops: list[Any], extents: list[int | None], crossing: int
) -> bool:
    """Squares of the crossing and of the last axis, so that each line of the cache is read and written at once.

    Walked row by row, a matrix of 3,199 x 512 took eleven times as long. Returns whether the last column of squares is
    narrower than the others, which takes a condition.
    """
    is_uneven = False
    inner = []
    for place in (crossing, len(loops) - 1):
        extent = extents[place] or 1
        # A vector with a condition is computed number by number.
        size = _TILE // 2 if extent % _TILE == _TILE // 2 else min(_TILE, extent)
        loops[place], tile = schedule.split(loops[place], [None, size])
        extents[place] = -(-extent // size)
        inner.append(tile)
        is_uneven = extent % size > 0
    schedule.reorder(*loops, *inner)
    schedule.vectorize(inner[-1])
    return is_uneven


def _has_parts(stage: Stage, outer: Sequence[int | None], unit: VectorUnit) -> bool:
    """Whether a step has a condition, as in a concatenation: a vector across it is computed number by number, and the
    others need not test it. outer: the extents of the loops around; there are enough steps of them for all cores."""
    return stage.branches and _keep_busy(outer, unit)


def _keep_busy(extents: Sequence[int | None], unit: VectorUnit) -> bool:
    """Whether loops of these extents are enough steps for all cores."""
    steps = _product(extents)
    return steps is not None and steps >= _TASKS_PER_CORE * unit.cores


def _vectorize_last(
    schedule: s_tir.Schedule, stage: Stage, loops: list[Any], extents: list[int | None], unit: VectorUnit
) -> None:
    """Splits whole vectors off the last loop, within pieces of it where only those lie together."""
    extent, most = extents[-1] or 1, lanes_of(stage, unit)
    piece = _piece(stage, extent)
    if piece < extent:
        inner = _split_axis(schedule, stage, loops, extents, piece)
        lanes = row_lanes(piece, most)
        vectors, lane = schedule.split(inner, [None, lanes])
        if piece % lanes:
            schedule.annotate(vectors, CUT, 1)
        schedule.vectorize(lane)
    elif (streams := _streams(stage, extent)) > 1:
        # LLVM loads a vector of each stream and interleaves them.
        schedule.unroll(_split_axis(schedule, stage, loops, extents, streams))
    elif (lanes := vector_lanes(extent, most)) > 1:
        loops[-1], lane = schedule.split(loops[-1], [None, lanes])
        extents[-1] = extent // lanes
        schedule.vectorize(lane)


def _split_axis(
    schedule: s_tir.Schedule, stage: Stage, loops: list[Any], extents: list[int | None], piece: int
) -> Any:
    """Makes two axes of the block's last one, and takes the inner one's loop off the list."""
    schedule.transform_block_layout(
        stage.block,
        tirx.IndexMap.from_func(
            lambda *axes: [*axes[:-1], axes[-1] // piece, axes[-1] % piece], ndim=len(stage.axes)
        ),
    )
    *loops[:], inner = schedule.get_loops(stage.block)
    extents[-1] = (extents[-1] or piece) // piece
    return inner


def schedule_parallel(schedule: s_tir.Schedule, stage: Stage, unit: VectorUnit) -> None:
    """The outer spatial loops in parallel, and nothing else."""
    count = next((place for place, axis in enumerate(stage.axes) if axis.is_reduction), len(stage.axes))
    loops = list(schedule.get_loops(stage.block))[:count]
    if is_enough(stage):
        parallelize(schedule, loops, [axis.extent for axis in stage.axes[:count]], unit)


def parallelize(
    schedule: s_tir.Schedule,
    loops: Sequence[Any],
    extents: Sequence[int | None],
    unit: VectorUnit,
) -> None:
    """Fuses as many of the outer loops as give all cores work, and runs them in parallel, on more cores than one."""
    tasks, count = 1, 0
    for extent in extents:
        if tasks >= _TASKS_PER_CORE * unit.cores:
            break
        count += 1
        if extent is None:
            break
        tasks *= extent
    if (count and tasks != 1 and unit.cores > 1) or None in extents[:count]:
        schedule.parallel(schedule.fuse(*loops[:count]) if count > 1 else loops[0])


def is_enough(stage: Stage) -> bool:
    """Whether a stage has work for more than one core; one of dynamic shape is taken to have it."""
    return stage.steps is None or stage.steps * (1 + _STEPS_A_CALL * stage.calls) >= LEAST_STEPS


def lanes_of(stage: Stage, unit: VectorUnit) -> int:
    """The numbers of a vector register, by the width of what the stage writes; at least of 32 bits."""
    bits = int(stage.buffer.dtype.bits)
    return max(unit.lanes * 32 // max(bits, 32), 1)


def _piece(stage: Stage, extent: int) -> int:
    """The length of pieces of the innermost loop within which neighbours are read together, as in a slice of groups."""
    piece = _period(stage, extent)
    is_together = all(is_contiguous(indices, stage.axes[-1], piece) for _, indices in stage.reads if indices)
    return piece if is_together else extent


def _streams(stage: Stage, extent: int) -> int:
    """The number of places that neighbours are read from in turns, as in a shuffle of channels; 1 for no such order."""
    streams = _period(stage, extent)
    is_in_turns = streams <= _MOST_STREAMS and all(
        is_interleaved(indices, stage.axes[-1], streams) for _, indices in stage.reads if indices
    )
    return streams if is_in_turns else 1


def _period(stage: Stage, extent: int) -> int:
    axis = stage.axes[-1]
    found = period([index for _, indices in stage.reads for index in indices], axis)
    return found if axis.extent == extent and found > 0 else extent


def _is_elementwise(stage: Stage) -> bool:
    """Whether each step reads at the very indices at which it writes."""
    wide = [axis for axis in stage.axes if not axis.is_unit]
    written = [[index for index in stage.writes[0][1] if any(is_var(index, axis) for axis in wide)]]
    read = [[index for index in indices if not _is_unit_index(index, stage)] for _, indices in stage.reads]
    return stage.is_exact and all(
        len(one) == len(wide) and all(is_var(index, axis) for index, axis in zip(one, wide, strict=True))
        for one in (*written, *read)
    )


def _is_unit_index(index: Any, stage: Stage) -> bool:
    return not any(is_var(index, axis) and not axis.is_unit for axis in stage.axes) and (
        hasattr(index, "value") or any(is_var(index, axis) for axis in stage.axes)
    )
