"""Schedules in which nothing is done yet (imports TVM)."""

from __future__ import annotations

import tvm
from tvm import s_tir


def fresh_schedule(module: tvm.IRModule) -> s_tir.Schedule:
    """A schedule of the module in which nothing is done yet, without TVM's checks of each step."""
    return s_tir.Schedule(module, seed=1, debug_mask="none", error_render_level="none")
