"""Evaluation of Relax expressions of constants (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from autotune.models.passes.rewriting import Lookup


def values_of(expr: Any, lookup: Lookup) -> list[npt.NDArray[Any]]:
    """The value of an expression of constants, or those of a tuple; empty where TVM cannot fold it.

    lookup: what a variable of the expression is bound to, None for a parameter.
    """
    bindings = _bindings(expr, lookup)
    if bindings is None:
        return []
    result = _folded(expr, bindings)["main"].body.blocks[-1].bindings[-1].value
    fields = list(result.fields) if isinstance(result, relax.Tuple) else []
    if not all(isinstance(field, tvm.ir.GenericConst) for field in fields):
        return []
    return [np.array(field.value.numpy()) for field in fields]


def _bindings(expr: Any, lookup: Lookup) -> dict[Any, Any] | None:
    """The variables that an expression is computed from with their values, in order; None where one has no value."""
    found: dict[Any, Any] = {}
    for var in relax.analysis.free_vars(expr):
        value = lookup(var)
        inner = None if value is None else _bindings(value, lookup)
        if inner is None:
            return None
        found |= inner | {var: value}
    return found


def _folded(expr: Any, bindings: Mapping[Any, Any]) -> tvm.IRModule:
    """A module whose `main` returns a tuple of the values, with what is constant as constants."""
    builder = relax.BlockBuilder()
    with builder.function("main", []):
        with builder.dataflow():
            for var, value in bindings.items():
                builder.emit_normalized(relax.VarBinding(var, value))
            result = builder.emit(expr)
            count = len(result.ty.fields) if isinstance(result.ty, relax.TupleType) else 0
            fields = [builder.emit(relax.TupleGetItem(result, place)) for place in range(count)]
            values = builder.emit_output(relax.Tuple(fields or [result]))
        builder.emit_func_output(values)
    passes = [
        relax.transform.LegalizeOps(),
        relax.transform.FoldConstant(),
        relax.transform.CanonicalizeBindings(),
    ]
    with tvm.target.Target("llvm"):
        return tvm.transform.Sequential(passes)(builder.get())
