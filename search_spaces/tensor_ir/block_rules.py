"""Blocks that name the rule which schedules their function, in MetaSchedule's annotation (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir

_ANNOTATION = "schedule_rule"


def names_rule(schedule: s_tir.Schedule, block: Any, rule: str) -> bool:
    """Whether a block names the rule."""
    return str(schedule.get(block).annotations.get(_ANNOTATION, "")) == rule


def follows_rule(schedule: s_tir.Schedule, root: Any, rule: str) -> bool:
    """Whether a block of a function names the rule."""
    return any(names_rule(schedule, block, rule) for block in schedule.get_child_blocks(root))


def forget_rule(schedule: s_tir.Schedule, block: Any) -> None:
    """Takes the name of its rule from a block, since MetaSchedule would look for it."""
    schedule.unannotate(block, _ANNOTATION)


def has_rule(module: tvm.IRModule, *rules: str) -> bool:
    """Whether the function of a normalised module follows one of the rules."""
    body = module["main"].body
    if not isinstance(body, s_tir.SBlockRealize):
        return False
    schedule = s_tir.Schedule(module, debug_mask="none", error_render_level="none")
    try:
        root = schedule.get_sblock(body.block.name_hint)
    except (RuntimeError, ValueError):
        return False  # several blocks of that name
    return any(follows_rule(schedule, root, rule) for rule in rules)
