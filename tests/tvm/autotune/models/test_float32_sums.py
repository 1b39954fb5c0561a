"""Sums of half floats are accumulated in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from onnx_comparison import single_node
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from autotune.models.passes.float32_sums import with_float32_sums

_RANDOM = np.random.default_rng(0)


def _run(model: Any, arrays: list[np.ndarray]) -> np.ndarray:
    module = relax.transform.DecomposeOpsForInference()(with_float32_sums(from_onnx(model)))
    executable = tvm.compile(relax.transform.LegalizeOps()(module), "llvm")
    machine = relax.VirtualMachine(executable, tvm.cpu())
    return machine["main"](*[tvm.runtime.tensor(array) for array in arrays]).numpy()


def _half(*shape: int) -> np.ndarray:
    return (np.abs(_RANDOM.normal(size=shape)) * 3).astype(np.float16)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("GlobalAveragePool", {}),
        ("ReduceMean", {"axes": [2, 3]}),
        ("ReduceSum", {"axes": [2, 3]}),
        ("AveragePool", {"kernel_shape": [56, 56]}),
        ("Softmax", {"axis": -1}),
    ],
)
def test_reductions(operator: str, attributes: dict[str, Any]) -> None:
    x = _half(1, 2, 56, 56)
    found = _run(
        single_node(operator, [x], opset=11 if operator.startswith("Reduce") else 13, **attributes), [x]
    )
    wide = x.astype(np.float64)
    if operator == "Softmax":
        powers = np.exp(wide - wide.max(-1, keepdims=True))
        right = powers / powers.sum(-1, keepdims=True)
    else:
        right = (np.sum if operator == "ReduceSum" else np.mean)(wide, axis=(2, 3), keepdims=True)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float64), right, rtol=1e-3, atol=1e-7)


def test_products() -> None:
    a, b = _half(3, 4096), _half(4096, 5) / 4096
    found = _run(single_node("MatMul", [a, b.astype(np.float16)], opset=13), [a, b.astype(np.float16)])
    right = a.astype(np.float64) @ b.astype(np.float16).astype(np.float64)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float64), right, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank: int) -> None:
    x = _half(1, 128, *[3] * rank)
    weight = (_half(4, 128, *[3] * rank) / 500).astype(np.float16)
    found = _run(single_node("Conv", [x, weight], opset=13), [x, weight])
    right = np.tensordot(
        x.astype(np.float64).reshape(1, -1), weight.astype(np.float64).reshape(4, -1), (1, 1)
    )
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.reshape(1, 4).astype(np.float64), right, rtol=1e-3, atol=1e-7)
