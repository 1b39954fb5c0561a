"""Products of quantized data and weights are taken in integers, exactly, where the target multiplies these in pairs."""

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

X86 = Target.parse("llvm -mcpu=haswell -num-cores=2")
ARM = Target.parse("llvm -mtriple=aarch64-linux-gnu -num-cores=2")
RNG = np.random.default_rng(0)
WHOLE = RNG.integers(-128, 128, (70, 24)).astype(np.float32)
KERNEL = RNG.integers(-128, 128, (12, 5, 3, 3)).astype(np.float32)
ROWS, IMAGE = "uint8[6,70] x, float[6,70] f", "int8[1,5,9,8] x, float[1,5,9,8] f"

#: Nodes that compute y, with the name of the product of pairs that they become.
PAIRED = {
    "bytes": (ROWS, "c = Cast<to=1>(x) y = MatMul(c, w)", "pair_matmul"),
    "centred": (ROWS, "c = Cast<to=1>(x) d = Sub(c, z) y = MatMul(d, w)", "pair_matmul"),
    "doubles": (
        ROWS,
        "c = Cast<to=1>(x) d = Sub(c, z) e = Cast<to=11>(d) v = Cast<to=11>(w) p = MatMul(e, v) y = Cast<to=1>(p)",
        "pair_matmul",
    ),
    "in int32": (
        ROWS,
        "c = Cast<to=1>(x) p = MatMul(c, w) i = Cast<to=6>(p) y = Cast<to=1>(i)",
        "pair_matmul",
    ),
    "convolution": (IMAGE, "c = Cast<to=1>(x) d = Sub(c, z) y = Conv<pads=[1,1,1,1]>(d, k)", "pair_conv2d"),
}
KEPT = {
    "floats": (ROWS, "y = MatMul(f, w)"),
    "scaled": (ROWS, "c = Cast<to=1>(x) d = Mul(c, h) y = MatMul(d, w)"),
    "broken weights": (ROWS, "c = Cast<to=1>(x) y = MatMul(c, u)"),
    "weights beyond 16 bits": (ROWS, "c = Cast<to=1>(x) y = MatMul(c, large)"),
    "groups": (
        IMAGE,
        "c = Cast<to=1>(x) y = Conv<group=5>(c, depthwise)",
    ),
}


def network(path: Path, inputs: str, nodes: str) -> Model:
    constants = {
        "w": WHOLE,
        "k": KERNEL,
        "u": WHOLE + 0.25,
        "h": np.float32(0.5),
        "z": np.float32(3),
        "large": np.full((70, 24), 40000, np.float32),
        "depthwise": KERNEL[:5, :1],
    }
    signature = f"({inputs}) => (float y, float g)"
    onnx.save(written_network(signature, f"g = Neg(f) {nodes}", constants), path)
    return load_model(path)


@pytest.mark.parametrize("name", PAIRED)
def test_products_of_bytes_are_exact_sums_of_pairs(name: str, tmp_path: Path, target: Target) -> None:
    inputs, nodes, expected = PAIRED[name]
    model = network(tmp_path / "net.onnx", inputs, nodes)
    assert expected in lower(model, X86).script()
    assert expected not in lower(model, ARM).script()

    drawn = [np.asarray(RNG.integers(0, 100, spec.shape)).astype(spec.dtype) for spec in model.inputs]
    y, _ = compile(model, target, TuningLog.in_memory())(*drawn)

    x = drawn[0].astype(np.int64) - 3 * ("Sub" in nodes)
    if expected == "pair_matmul":
        right = x @ WHOLE.astype(np.int64)
    else:
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
        )
        right = np.einsum("nchwij,ocij->nohw", windows, KERNEL.astype(np.int64))
    np.testing.assert_array_equal(y, right)


@pytest.mark.parametrize("name", KEPT)
def test_other_products_stay_as_they_are(name: str, tmp_path: Path) -> None:
    assert "pair_" not in lower(network(tmp_path / "net.onnx", *KEPT[name]), X86).script()
