"""Default schedules for those functions of a module that no record has scheduled (imports TVM)."""

from __future__ import annotations

import tvm
from tvm.s_tir import dlight

from search_spaces.tensor_ir.default_schedule import default_schedule

_SCHEDULED = "tirx.is_scheduled"


def with_default_schedules(
    module: tvm.IRModule, target: tvm.target.Target
) -> tuple[tvm.IRModule, frozenset[str]]:
    """The module with every unscheduled function scheduled without a measurement, and the names of those.

    A function that cannot be scheduled keeps its loops. On GPUs all get TVM's fallback schedule, which is what their
    baselines were measured with, and none of them counts as scheduled.
    """
    if str(target.kind.name) != "llvm":
        with target:
            return dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(module), frozenset()
    changed = {
        name: scheduled
        for name, func in module.functions.items()
        if isinstance(func, tvm.tirx.PrimFunc) and _SCHEDULED not in (func.attrs or {})
        if (scheduled := default_schedule(func, target)) is not func
    }
    done = tvm.IRModule({**dict(module.functions.items()), **changed}).with_attrs(module.attrs or {})
    return done, frozenset(str(name.name_hint) for name in changed)
