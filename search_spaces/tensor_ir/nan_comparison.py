"""Tests for NaN as comparisons of bits, of which TVM makes vectors (imports TVM)."""

from __future__ import annotations

from typing import Any, Final

import tvm
from tvm import tirx

from search_spaces.tensor_ir.module_map import with_mapped

_IS_NAN = "tirx.isnan"
#: Infinity as an integer, by its bits.
_INFINITY: Final = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}
_TYPES: Final = {"float16": 16, "float32": 32, "float64": 64}


def with_nan_comparisons(module: tvm.IRModule) -> tvm.IRModule:
    """The module with NaN told by its bits, which without the sign are a larger number than those of infinity.

        isnan(x)  →  (reinterpret(int32, x) & 0x7FFFFFFF) > 0x7F800000

    TVM computes a vector with a call of `isnan` number by number, as in the attention of exported transformers, and
    simplifies `x != x` to false.
    """
    return with_mapped(module, tvm.ir.Call, _comparison)


def _comparison(call: Any) -> Any:
    if getattr(call.op, "name", "") != _IS_NAN or (bits := _TYPES.get(str(call.args[0].ty.dtype))) is None:
        return call
    integer = f"int{bits}"
    infinity, magnitude = tirx.const(_INFINITY[bits], integer), tirx.const(2 ** (bits - 1) - 1, integer)
    return tirx.bitwise_and(tirx.reinterpret(integer, call.args[0]), magnitude) > infinity
