"""Inlining of the stages of a tensor program that cost less to compute again than to store (imports TVM)."""

from __future__ import annotations

from typing import Any

from tvm import s_tir
from tvm.ir import TensorLoad
from tvm.tirx import BufferStore

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.stage import Stage, is_contiguous, read_stage, uses

#: How many times over a stage is computed again, where it only moves or casts numbers.
_MOST_REPEATS = 4


def inline_stages(schedule: s_tir.Schedule, root: Any) -> None:
    """Moves into their consumers what is cheap there: elementwise chains, views, constants.

    Numbers between a reduction and what follows it are moved as well, wherever they are computed: nothing else lets the
    two share a loop nest.
    """
    outputs = {schedule.get(block).name_hint for block in schedule.get_output_blocks(root)}
    is_behind_reduction = False
    for block in schedule.get_child_blocks(root):
        stage = read_stage(schedule, block)
        is_behind_reduction |= stage is not None and bool(stage.reductions)
        if schedule.get(block).name_hint in outputs:
            continue
        if _is_cheap(schedule, stage) or (
            _is_number(schedule, block) and (is_behind_reduction or not _feeds_reduction(schedule, block))
        ):
            try:
                schedule.compute_inline(block)
            except (RuntimeError, ValueError):
                continue


def _is_number(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether a block computes a single number without a loop, which compilers move out of the loops that use it."""
    return not schedule.get_loops(block) and isinstance(schedule.get(block).body, BufferStore)


def _feeds_reduction(schedule: s_tir.Schedule, block: Any) -> bool:
    consumers = [read_stage(schedule, each) for each in schedule.get_consumers(block)]
    return any(each is None or bool(each.reductions) for each in consumers)


def _is_cheap(schedule: s_tir.Schedule, stage: Stage | None) -> bool:
    if stage is None:
        return False
    consumers = [read_stage(schedule, each) for each in schedule.get_consumers(stage.block)]
    if stage.reductions or stage.value is None or not consumers:
        return False
    if not stage.reads:
        return True
    if len(consumers) > 1 and (stage.calls or stage.branches):
        return False
    return all(
        consumer is not None and (_pays(stage, consumer) or _skips_padding(schedule, stage, consumer))
        for consumer in consumers
    )


def _skips_padding(schedule: s_tir.Schedule, stage: Stage, consumer: Stage) -> bool:
    """Whether vectors of a window's results read vectors of nothing but the stage, all of them padding or none."""
    wide = [axis for axis in consumer.spatial if not axis.is_unit]
    reads = consumer.reads_of(stage.buffer)
    return (
        consumer.is_window
        and bool(wide)
        and all(uses(read[-1], wide[-1]) and is_contiguous(read, wide[-1]) for read in reads)
        and stage.branches
        and not stage.calls
        and len(schedule.get_producers(consumer.block)) == 1
    )


def _pays(stage: Stage, consumer: Stage) -> bool:
    is_copy = isinstance(stage.value, TensorLoad)
    if is_copy and _keeps_order(stage):
        return True
    if consumer.reductions and stage.branches:
        return False
    if stage.steps is None or consumer.steps is None:
        return not consumer.reductions
    repeats = consumer.steps / max(stage.steps, 1)
    if repeats > 1 and not is_copy and _lookups(consumer, stage) > 1:
        return False
    is_light = not stage.calls and not consumer.reductions
    return repeats <= 1 or is_light or (is_copy and repeats <= _MOST_REPEATS)


def _lookups(consumer: Stage, stage: Stage) -> int:
    """The numbers of a stage that one step of a consumer reads at places from a table."""
    loads = contained_nodes(consumer.value, TensorLoad)
    own = [load for load in loads if load.source.same_as(stage.buffer)]
    return sum(bool(contained_nodes(load.indices, TensorLoad)) for load in own)


def _keeps_order(stage: Stage) -> bool:
    """Whether a copy reads what lies together from where it lies together."""
    ((_, indices),) = stage.reads[:1]
    written = stage.writes[0][1]
    return bool(indices) and bool(written) and indices[-1].same_as(written[-1])
