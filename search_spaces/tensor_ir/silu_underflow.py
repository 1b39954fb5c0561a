"""SiLU without subnormal numbers, which take processors a hundred cycles each (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from search_spaces.tensor_ir.module_map import with_mapped

_SIGMOID = "tirx.sigmoid"
#: Of sigmoids that are normal numbers of 32 bits.
_LEAST = -87.0


def with_normal_silu(module: tvm.IRModule) -> tvm.IRModule:
    """The module with x · sigmoid(x) in float32 as 0 where it lies above -1.5e-36, for x below -87.

        x * sigmoid(x)  →  select(x < -87, 0, x) * sigmoid(max(x, -87))

    A convolution that reads the results multiplies by thousands of subnormal numbers otherwise.
    """
    return with_mapped(module, tirx.Mul, _normal)


def _normal(product: Any) -> Any:
    for factor, sigmoid in ((product.a, product.b), (product.b, product.a)):
        if _is_sigmoid(sigmoid) and tvm_ffi.structural_equal(sigmoid.args[0], factor):
            least, zero = tirx.const(_LEAST, "float32"), tirx.const(0.0, "float32")
            bounded = tirx.call_intrin("float32", sigmoid.op, tirx.max(factor, least))
            return tirx.Select(factor < least, zero, factor) * bounded
    return product


def _is_sigmoid(value: Any) -> bool:
    return (
        isinstance(value, tvm.ir.Call)
        and getattr(value.op, "name", "") == _SIGMOID
        and str(value.ty.dtype) == "float32"
    )
