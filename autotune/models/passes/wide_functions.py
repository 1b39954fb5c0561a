"""Tensor programs of many buffers, kept apart from others (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx

from autotune.models.passes.rewriting import OPAQUE, PATTERN
from search_spaces.tensor_ir.module_map import with_programs

# Half as many as a concatenation of `grouped_parts` may join: the groups of a long one must not become one again.
_MOST_BUFFERS = 16


def _with_wide_functions_apart(module: tvm.IRModule, _: Any) -> tvm.IRModule:
    return with_programs(module, _apart)


def _apart(func: tirx.PrimFunc) -> tirx.PrimFunc:
    return func.with_attr(PATTERN, OPAQUE) if len(func.params) > _MOST_BUFFERS else func


#: Between `AnnotateTIROpPattern` and `FuseOps`: marks functions of more than 16 buffers as not to be fused, which takes
#: LLVM minutes where concatenations of concatenations grow to hundreds.
with_wide_functions_apart = tvm.transform.module_pass(
    _with_wide_functions_apart, opt_level=0, name="autotune.WideFunctions"
)
