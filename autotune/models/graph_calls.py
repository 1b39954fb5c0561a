"""The calls of a Relax graph, each as a module of its own (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax

from autotune.models.onnx_passes.tensor_types import TensorType
from autotune.models.origin import Origin


def graph_calls(module: tvm.IRModule) -> Iterator[tuple[str, Callable[[], tvm.IRModule], Origin]]:
    """Each call of an operator in `main`: the name of its variable, its module, and its operator and type."""
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            call = getattr(binding, "value", None)
            if isinstance(call, tvm.ir.Call):
                name = str(binding.var.name)
                operator = str(getattr(call.op, "name", call.op))
                yield name, partial(_alone, call), Origin("", operator, name, _type(call.ty))


def _alone(call: Any) -> tvm.IRModule:
    """A module whose `main` makes the call, with a parameter for each variable that it reads."""
    builder = relax.BlockBuilder()
    with builder.function("main", list(relax.analysis.free_vars(call))):
        with builder.dataflow():
            result = builder.emit_output(call)
        builder.emit_func_output(result)
    return builder.get()


def _type(ty: Any) -> TensorType | None:
    sizes = getattr(getattr(ty, "shape", None), "values", None)
    if sizes is None or ty.dtype is None:
        return None
    shape = tuple(int(size) if isinstance(size, tvm.tirx.IntImm) else None for size in sizes)
    return TensorType(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(str(ty.dtype.dtype))), shape)
