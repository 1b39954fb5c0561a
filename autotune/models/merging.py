"""Several Relax modules as one, with a function of each (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator


def merged(modules: Mapping[str, tvm.IRModule]) -> tvm.IRModule:
    """A module that has the `main` of each module under the name given, and equal tensor programs once.

    Raises ValueError for modules with other Relax functions than `main`.
    """
    builder = relax.BlockBuilder()
    for name, module in modules.items():
        programs = {}
        for place, func in module.functions_items():
            if isinstance(func, tvm.tirx.PrimFunc):
                # The builder returns the function that it has where that is structurally equal.
                programs[place] = builder.add_func(func, place.name_hint)
            elif place.name_hint != "main":
                raise ValueError(f"expected main and tensor programs; found the function {place.name_hint!r}")
        main = _Renaming(programs).visit_expr(module["main"])
        builder.add_func(main.with_attr("global_symbol", name), name)
    return builder.get()


@mutator
class _Renaming(PyExprMutator):  # type: ignore[misc]
    """Replaces references to functions."""

    def __init__(self, places: Mapping[Any, Any]) -> None:
        super().__init__()
        self._places = places

    def visit_global_var_(self, op: Any) -> Any:
        """The function's place in the merged module."""
        return self._places.get(op, op)
