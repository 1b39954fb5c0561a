"""Half floats are widened before convolutions and products on CPUs, once for each operand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from written_network import written_network

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

RNG = np.random.default_rng(0)
WEIGHTS = {
    "w": (RNG.standard_normal((48, 32)) / 8).astype(np.float16),
    "k": (RNG.standard_normal((16, 8, 3, 3)) / 8).astype(np.float16),
}


def network(path: Path, kind: str, nodes: str) -> Model:
    onnx.save(written_network(f"({kind} x) => (float16 y)", nodes, WEIGHTS), path)
    return load_model(path)


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        ("float16[9,48]", "y = MatMul(x, w)"),
        ("float16[2,30,48]", "a = MatMul(x, w) r = Relu(x) b = MatMul(r, w) y = Add(a, b)"),
        ("float16[1,8,9,7]", "y = Conv<pads=[1,1,1,1]>(x, k)"),
        ("float16[3,12,16]", "t = Transpose<perm=[0,2,1]>(x) y = MatMul(x, t)"),
    ],
)
def test_products_read_and_sum_float32(kind: str, nodes: str, tmp_path: Path, target: Target) -> None:
    model = network(tmp_path / "net.onnx", kind, nodes)
    text = lower(model, target).script()
    assert 'T.Cast("float32", w' not in text
    assert not any('T.Cast("float32"' in line and " * " in line for line in text.splitlines())

    [spec] = model.inputs
    x = RNG.standard_normal(spec.shape).astype(np.float16)
    y = compile(model, target, TuningLog.in_memory())(x)

    assert y.dtype == np.float16
    np.testing.assert_allclose(
        y.astype(np.float64), expected(nodes, x.astype(np.float64)), rtol=2e-3, atol=2e-3
    )


def expected(nodes: str, x: np.ndarray) -> np.ndarray:
    """The result of a network's nodes in float64."""
    weight = WEIGHTS["w"].astype(np.float64)
    if "Conv" in nodes:
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
        )
        found: np.ndarray = np.einsum("nchwij,ocij->nohw", windows, WEIGHTS["k"].astype(np.float64))
        return found
    if "Transpose" in nodes:
        return x @ x.transpose(0, 2, 1)
    return x @ weight + (np.maximum(x, 0) @ weight if "Relu" in nodes else 0)


def test_products_of_few_rows_read_their_weights_as_they_are(tmp_path: Path, target: Target) -> None:
    text = lower(network(tmp_path / "net.onnx", "float16[1,48]", "y = MatMul(x, w)"), target).script()

    assert 'T.Buffer((T.int64(48), T.int64(32)), "float16")' in text
