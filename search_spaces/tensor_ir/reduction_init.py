"""The start values of reductions, moved out of the loops that sum up (imports TVM)."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx

from search_spaces.tensor_ir.stage import reduction_variables

_VECTORIZED, _UNROLLED = int(tirx.ForKind.VECTORIZED), int(tirx.ForKind.UNROLLED)


def split_off_init(schedule: s_tir.Schedule, root: Any) -> None:
    """Splits every reduction into its start and its sums, the last step of a schedule: TVM knows it for none after.

    The loops of the start are vectors and unrolled where those of the sums are.
    """
    for block in _leaves(schedule, root):
        if schedule.get(block).init is None:
            continue
        reduced = reduction_variables(schedule, block)
        loops = list(schedule.get_loops(block))
        outermost = next(
            (loop for loop in loops if any(schedule.get(loop).loop_var.same_as(var) for var in reduced)), None
        )
        if outermost is None:
            continue
        inside = [schedule.get(loop) for loop in loops[loops.index(outermost) :]]
        inner = [int(loop.kind) for loop in inside if not any(loop.loop_var.same_as(var) for var in reduced)]
        init = schedule.decompose_reduction(block, outermost)
        kinds = [kind for kind in inner if kind in (_VECTORIZED, _UNROLLED)]
        starts = list(schedule.get_loops(init))[-len(kinds) :] if kinds else []
        for loop, kind in zip(starts, kinds, strict=False):
            (schedule.vectorize if kind == _VECTORIZED else schedule.unroll)(loop)


def _leaves(schedule: s_tir.Schedule, block: Any) -> list[Any]:
    children = list(schedule.get_child_blocks(block))
    return [leaf for child in children for leaf in _leaves(schedule, child)] if children else [block]
