"""Small operands that take function calls to compute do not part a product from the operators behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest
from onnx_comparison import compare, onnx_runtime_outputs
from written_network import written_network

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 24)).astype(np.float32)
IMAGE = RNG.standard_normal((1, 5, 6, 7)).astype(np.float32)
CONSTANTS = {
    "w": RNG.standard_normal((24, 32)).astype(np.float32),
    "kernel": RNG.standard_normal((32, 5, 3, 3)).astype(np.float32),
    "bias": RNG.standard_normal(32).astype(np.float32),
    "column": [1, 32, 1, 1],
}
PRODUCT = "(float[8,24] x, float[1] scale) => (float y)"
CONVOLUTION = "(float[1,5,6,7] x, float[1] scale) => (float y)"


def kernels(
    signature: str,
    nodes: str,
    x: np.ndarray,
    target: Target,
    folder: Path,
    constants: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> list[str]:
    """The names of the kernels, each that of its operators; compares the outputs with ONNX Runtime's."""
    onnx.save(written_network(signature, nodes, {**CONSTANTS, **constants}), folder / "model.onnx")
    model, inputs = load_model(folder / "model.onnx"), [x, np.array([0.3], np.float32)]
    found = compile(model, target, TuningLog.in_memory())(*inputs)
    compare([np.asarray(found)], list(onnx_runtime_outputs(model, inputs)), 1e-5)
    return [name for name, _ in calls(lower(model, target))]


@pytest.mark.parametrize(
    ("signature", "nodes", "x"),
    [
        (PRODUCT, "b = Floor(c) p = MatMul(x, w) y = Add(p, b)", X),
        (PRODUCT, "b = Floor(c) p = MatMul(x, w) s = Sigmoid(p) z = Add(s, b) y = Mul(z, scale)", X),
        (PRODUCT, "p = MatMul(x, w) s = Mul(p, scale) b = Exp(c) y = Sub(b, s)", X),
        (CONVOLUTION, "f = Floor(c) b = Reshape(f, column) p = Conv(x, kernel) y = Add(p, b)", IMAGE),
    ],
)
def test_computed_biases_are_kernels_of_their_own(
    signature: str, nodes: str, x: np.ndarray, tmp_path: Path, target: Target
) -> None:
    found = kernels(signature, f"c = Div(bias, scale) {nodes}", x, target, tmp_path)

    (product,) = [name for name in found if "matmul" in name or "conv" in name]
    assert "floor" not in product and "exp" not in product
    assert "add" in product or "subtract" in product


def test_biases_without_calls_are_computed_where_they_are_added(tmp_path: Path, target: Target) -> None:
    nodes = "b = Div(bias, scale) p = MatMul(x, w) y = Add(p, b)"

    (kernel,) = kernels(PRODUCT, nodes, X, target, tmp_path)

    assert "divide" in kernel and "add" in kernel


def test_operands_of_the_size_of_the_result_are_computed_with_it(tmp_path: Path, target: Target) -> None:
    signature = "(float[8,32] x, float[1] scale) => (float y)"
    nodes = "s = Mul(x, scale) e = Exp(s) p = MatMul(e, square) f = Floor(s) y = Add(p, f)"
    square = RNG.standard_normal((32, 32)).astype(np.float32)

    found = kernels(signature, nodes, np.tile(X, 2)[:, :32], target, tmp_path, {"square": square})

    (product,) = [name for name in found if "matmul" in name]
    assert "floor" in product
