"""Replacement of variables in expressions of TIR (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
import tvm_ffi


def substituted(expression: Any, values: Mapping[Any, Any]) -> Any:
    """The expression with these values in place of their variables."""
    return tvm_ffi.structural_map(expression, (tvm.ir.Var, lambda var: values.get(var, var)))
