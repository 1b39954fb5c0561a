"""Changes of all tensor programs of a module (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx


def with_programs(module: tvm.IRModule, change: Callable[[tirx.PrimFunc], tirx.PrimFunc]) -> tvm.IRModule:
    """The module with each tensor program as `change` returns it; other functions as they are."""
    found = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for name, func in module.functions.items():
        if isinstance(func, tirx.PrimFunc) and not (changed := change(func)).same_as(func):
            found.update_func(name, changed)
    return found


def with_mapped(module: tvm.IRModule, kind: Any, change: Callable[[Any], Any]) -> tvm.IRModule:
    """The module with each node of a type in tensor programs as `change` returns it, inner ones first."""
    return with_programs(module, lambda func: mapped(func, kind, change))


def mapped(func: tirx.PrimFunc, kind: Any, change: Callable[[Any], Any]) -> tirx.PrimFunc:
    """The program with each node of a type as `change` returns it, inner ones first."""
    body = tvm_ffi.structural_map(func.body, (kind, change), order="post")
    return func if body.same_as(func.body) else func.with_body(body)
