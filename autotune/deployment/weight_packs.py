"""The packing of constant weights as calls of their own, which the build computes (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import is_call, rewritten
from autotune.models.task_extraction import calls

# TVM's own names for what its layout rewriting splits off: the packing of a weight.
_PREPACK = "_weight_prepack"
# The annotation of a block that packs a weight.
_PACKING = "layout_rewrite_preproc"


def with_split_packs(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the packing of weights as functions of their own, called once for each weight.

    TVM's pass fails on functions of another form than scheduled ones, such as calls of library routines, so it sees
    those alone that pack a weight.
    """
    others = {
        name: func
        for name, func in module.functions.items()
        if isinstance(func, tvm.tirx.PrimFunc) and not _packs_weights(func)
    }
    rest = tvm.IRModule({name: func for name, func in module.functions.items() if name not in others})
    split = relax.transform.SplitLayoutRewritePreproc()(rest.with_attrs(module.attrs or {}))
    split.update(tvm.IRModule(others))
    return rewritten(split, _SharedPacks(split))


def count_packs(module: tvm.IRModule) -> int:
    """The number of calls that pack a weight."""
    return sum(name.endswith(_PREPACK) for name, _ in calls(module))


def _packs_weights(func: tvm.tirx.PrimFunc) -> bool:
    # TVM offers no visitor of statements in Python; the text is short, as constants are parameters.
    return bool((func.attrs or {}).get("layout_free_buffers")) and _PACKING in func.script()


@mutator
class _SharedPacks(PyExprMutator):  # type: ignore[misc]
    """Packs a weight once that several calls read, such as the steps of a recurrent network."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self._packed: dict[tuple[str, int], Any] = {}

    def visit_var_binding_(self, binding: Any) -> None:
        """Replaces a repeated packing by the first one's result."""
        key = _pack(binding.value)
        if key is None:
            super().visit_var_binding_(binding)
        elif key in self._packed:
            self.set_var_remap(binding.var, self._packed[key])
        else:
            super().visit_var_binding_(binding)
            self._packed[key] = self.visit_expr(binding.var)


def _pack(expr: Any) -> tuple[str, int] | None:
    """The function and the address of the weight of a call that packs one."""
    if not is_call(expr, "relax.call_tir"):
        return None
    function, operands = expr.args[0], expr.args[1]
    if not function.name_hint.endswith(_PREPACK) or len(operands) != 1:
        return None
    weight = operands[0]
    if not isinstance(weight, tvm.ir.GenericConst):
        return None
    return function.name_hint, weight.value.data_ptr()
