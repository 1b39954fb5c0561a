"""Functions of functions: stored arguments in lowered programs, and what these compute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import s_tir, te, tirx

from autotune.devices.device import local_device
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.nested_functions import with_stored_arguments
from search_spaces.tensor_ir.vector_math import has_vector_rule

TARGET = tvm_target(local_device().target)
LANES = 8
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": te.exp,
    "log": te.log,
    "sigmoid": te.sigmoid,
    "tanh": te.tanh,
    "successor": lambda x: x + tirx.const(1, x.ty.dtype),
}


def program(names: str, dtype: str = "float32", lanes: int = LANES) -> tvm.IRModule:
    """y = x times the functions of each other, the innermost first."""

    def element(row: Any, column: Any) -> Any:
        value = source[row, column]
        for name in names.split():
            value = FUNCTIONS[name](value)
        return source[row, column] * value

    source = te.placeholder((6, 4 * LANES), dtype, "x")
    result = te.compute(source.shape, element, "y")
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([source, result])}))
    _, column = schedule.get_loops(schedule.get_sblock("y"))
    if lanes > 1:
        schedule.vectorize(schedule.split(column, [None, lanes])[1])
    return schedule.mod


def stored(module: tvm.IRModule) -> tuple[int, int]:
    """The number of stores that the pass leaves, and that of functions whose arguments have functions."""
    lowering, _, _ = s_tir.pipeline.default_s_tir_pipeline()
    lowered = lowering(tirx.transform.BindTarget(TARGET.with_host(TARGET))(module))
    stores: list[Any] = []
    nested: list[Any] = []

    def note(call: Any) -> None:
        inner: list[Any] = []
        if has_vector_rule(call):
            tvm_ffi.structural_walk(call.args[0], (tvm.ir.Call, inner.append))
            nested.extend(filter(has_vector_rule, inner))

    body = with_stored_arguments(lowered)["main"].body
    tvm_ffi.structural_walk(body, (tirx.BufferStore, stores.append))
    tvm_ffi.structural_walk(body, (tvm.ir.Call, note))
    return len(stores), len(nested)


@pytest.mark.parametrize(
    ("names", "num_stores"),
    [("exp", 1), ("exp successor", 1), ("exp successor log tanh", 3), ("sigmoid exp tanh log", 4)],
)
@pytest.mark.parametrize("lanes", [1, LANES])
def test_each_function_of_a_function_has_its_argument_stored(names: str, num_stores: int, lanes: int) -> None:
    assert stored(program(names, lanes=lanes)) == (num_stores, 0)


def test_what_is_read_under_a_condition_only_is_not_read_before() -> None:
    source = te.placeholder((64,), "float32", "x")
    inside = te.compute((64,), lambda i: te.exp(te.exp(source[i])), "inside")
    padded = te.compute(
        (80,), lambda i: te.if_then_else(i < 64, inside[i], tirx.const(0, "float32")), "padded"
    )
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([source, padded])}))
    schedule.compute_inline(schedule.get_sblock("inside"))

    assert stored(schedule.mod) == (1, 1)


# Half floats hold no sum of 1 and less than 5e-4.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2)])
@pytest.mark.parametrize("lanes", [1, LANES])
def test_mish_is_what_its_parts_are(dtype: str, tolerance: float, lanes: int) -> None:
    kernel = tvm.tirx.build(
        program("exp successor log tanh", dtype, lanes), TARGET.with_host(TARGET), pipeline=CPU_PIPELINE
    )
    x = np.linspace(-9, 9, 6 * 4 * LANES).reshape(6, 4 * LANES).astype(dtype)
    result = tvm.runtime.tensor(np.zeros_like(x))

    kernel["main"](tvm.runtime.tensor(x), result)

    expected = [value * math.tanh(math.log1p(math.exp(value))) for value in x.astype(float).ravel()]
    np.testing.assert_allclose(result.numpy().ravel(), expected, rtol=tolerance, atol=tolerance)
