"""SiLU is exact where it is a normal number, and has no subnormal ones."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import te, topi

from search_spaces.target import Target
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.silu_underflow import with_normal_silu


def test_results_are_those_of_float64_or_zero_for_tiny_ones(target: Target) -> None:
    edges = [-np.inf, -1e30, -200.0, -104.0, -88.0, -87.5, -87.0, -86.9, -1e-3, -0.0, 0.0, 1e-3, 90.0, 1e30]
    x = np.concatenate([edges, np.linspace(-120, 120, 2_000), [np.nan]]).astype(np.float32)
    given = te.placeholder(x.shape, name="x")
    func = te.create_prim_func([given, topi.multiply(given, topi.sigmoid(given))])
    func = default_schedule(func.with_attr("global_symbol", "main"), tvm_target(target))
    module = with_normal_silu(tvm.IRModule({"main": func}))
    out = tvm.runtime.tensor(np.full_like(x, 7))
    tvm.tirx.build(module, target=tvm_target(target))["main"](tvm.runtime.tensor(x), out)

    y, exact = out.numpy(), x.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = exact / (1 + np.exp(-exact))
    exact[np.isneginf(x)] = 0
    is_small = x < -87
    np.testing.assert_array_equal(y[is_small], 0)
    np.testing.assert_allclose(y[~is_small], exact[~is_small], rtol=1e-6, atol=0)
    assert not ((y != 0) & (np.abs(y) < np.finfo(np.float32).tiny) & (np.abs(x) > 1)).any()


def test_products_of_other_sigmoids_are_left_as_they_are() -> None:
    x, y = te.placeholder((8,), name="x"), te.placeholder((8,), name="y")
    module = tvm.IRModule({"main": te.create_prim_func([x, y, topi.multiply(y, topi.sigmoid(x))])})
    assert with_normal_silu(module)["main"].same_as(module["main"])
