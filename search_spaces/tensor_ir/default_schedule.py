"""A schedule for any operator on a CPU, made in milliseconds and without a measurement (imports TVM).

It follows what is known of fast loops: elementwise chains are computed where they are used, outer loops run in
parallel, a block of results stays in vector registers while its reduction runs around it, and what follows is computed
block by block. It is not as fast as a tuned schedule, and many times as fast as naive loops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.tensor_ir import attention, winograd
from search_spaces.tensor_ir.attention_schedule import schedule_attention
from search_spaces.tensor_ir.block_rules import follows_rule
from search_spaces.tensor_ir.reduction_init import split_off_init
from search_spaces.tensor_ir.reduction_schedule import schedule_reduction
from search_spaces.tensor_ir.row_schedule import schedule_rows
from search_spaces.tensor_ir.spatial_schedule import schedule_parallel, schedule_spatial
from search_spaces.tensor_ir.stage import Stage, read_stage
from search_spaces.tensor_ir.stage_inlining import inline_stages
from search_spaces.tensor_ir.tile_transform_schedule import schedule_tile_transform
from search_spaces.tensor_ir.vector_unit import VectorUnit, vector_unit

Rule = Callable[[s_tir.Schedule, Stage, VectorUnit], None]


def default_schedule(func: tvm.tirx.PrimFunc, target: tvm.target.Target) -> tvm.tirx.PrimFunc:
    """The function with its loops scheduled for a CPU; what cannot be scheduled keeps the loops that it has.

    Sums may be taken in another order. Functions of any form may be passed: of dynamic shape, of several blocks, and
    calls of library routines, which come back as they are.
    """
    if not isinstance(func.body, s_tir.SBlockRealize):
        return func
    try:
        module = tvm.IRModule({"main": func})
        schedule = s_tir.Schedule(module, debug_mask="none", error_render_level="none")
    except (RuntimeError, ValueError, TypeError):
        return func
    done = scheduled_by_default(schedule, target)
    return func if done is None else done.mod["main"].with_attr("tirx.is_scheduled", True)


def scheduled_by_default(schedule: s_tir.Schedule, target: tvm.target.Target) -> s_tir.Schedule | None:
    """An untouched schedule of one function, "main", with that schedule applied; its trace replays it.

    None where no rule fits and for targets other than CPUs.
    """
    is_fit = isinstance(schedule.mod["main"].body, s_tir.SBlockRealize)
    if not is_fit or str(target.kind.name) != "llvm":
        return None
    try:
        return _scheduled(schedule, vector_unit(target))
    except (RuntimeError, ValueError, TypeError, LookupError):
        return None


def _scheduled(schedule: s_tir.Schedule, unit: VectorUnit) -> s_tir.Schedule:
    root = schedule.get_sblock(schedule.mod["main"].body.block.name_hint)
    if follows_rule(schedule, root, winograd.SCHEDULE_RULE):
        schedule_tile_transform(schedule, root, unit)
        return schedule
    if follows_rule(schedule, root, attention.SCHEDULE_RULE):
        schedule_attention(schedule, unit)
        split_off_init(schedule, root)
        return schedule
    inline_stages(schedule, root)
    together = _tried(schedule, lambda trial: schedule_rows(trial, root, unit))
    if together is None:
        for block in schedule.get_child_blocks(root):
            schedule = _with_stage(schedule, schedule.get(block).name_hint, unit)
    done = together or schedule
    return _tried(done, lambda trial: split_off_init(trial, root)) or done


def _with_stage(schedule: s_tir.Schedule, name: str, unit: VectorUnit) -> s_tir.Schedule:
    """The schedule with one stage done by the first rule that fits."""
    if read_stage(schedule, schedule.get_sblock(name)) is None:
        return schedule
    rules: tuple[Rule, ...] = (schedule_reduction, schedule_spatial, schedule_parallel)
    for rule in rules:
        done = _tried(schedule, partial(_apply, rule=rule, name=name, unit=unit))
        if done is not None:
            return done
    return schedule


def _apply(schedule: s_tir.Schedule, rule: Rule, name: str, unit: VectorUnit) -> None:
    stage = read_stage(schedule, schedule.get_sblock(name))
    if stage is not None:
        rule(schedule, stage, unit)


def _tried(schedule: s_tir.Schedule, change: Callable[[s_tir.Schedule], Any]) -> s_tir.Schedule | None:
    """A changed copy, None where TVM turns the change down."""
    trial = schedule.copy()
    try:
        change(trial)
    except (RuntimeError, ValueError, TypeError):
        return None
    return trial
