"""NaN is told in vectors."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import te, topi

from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.nan_comparison import with_nan_comparisons


def without_nan(shape: tuple[int, ...], dtype: str) -> tvm.IRModule:
    x = te.placeholder(shape, dtype, name="x")
    zero = tvm.tirx.const(0, dtype)
    y = te.compute(shape, lambda *at: tvm.tirx.Select(tvm.tirx.isnan(x(*at)), zero, x(*at)), name="y")
    return tvm.IRModule({"main": te.create_prim_func([x, y]).with_attr("global_symbol", "main")})


@pytest.mark.parametrize("shape", [(5, 32), (64, 37)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_nan_and_nothing_else_is_found(target: Target, dtype: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x[:, ::3], x[1, 4], x[2, 5] = np.nan, np.inf, -np.inf
    scheduled = default_schedule(without_nan(x.shape, dtype)["main"], tvm_target(target))
    module = kernel_passes(tvm.IRModule({"main": scheduled}))
    y = tvm.runtime.tensor(np.ones_like(x))
    tvm.tirx.build(module, target=tvm_target(target), pipeline=CPU_PIPELINE)["main"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), np.where(np.isnan(x), 0, x))


def test_no_call_is_left_that_vectors_cannot_make() -> None:
    module = with_nan_comparisons(without_nan((64,), "float32"))
    assert "isnan" not in module.script()


def test_other_functions_are_left_as_they_are() -> None:
    x = te.placeholder((8,), name="x")
    module = tvm.IRModule({"main": te.create_prim_func([x, topi.exp(x)])})
    assert with_nan_comparisons(module)["main"].same_as(module["main"])
