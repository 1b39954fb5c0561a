"""Replacement of nodes of one type in all tensor programs of a module (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx


def with_mapped(module: tvm.IRModule, kind: Any, change: Callable[[Any], Any]) -> tvm.IRModule:
    """The module with each node of a type as `change` returns it, inner ones first; other functions as they are."""
    found = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for name, func in module.functions.items():
        if isinstance(func, tirx.PrimFunc):
            body = tvm_ffi.structural_map(func.body, (kind, change), order="post")
            if not body.same_as(func.body):
                found.update_func(name, func.with_body(body))
    return found
