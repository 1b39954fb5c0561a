"""Products of quantized data and weights are taken in integers, exactly, where the target multiplies these in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from written_network import written_network

import autotune.models.passes.word_products as passes
from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.passes.winograd import never
from search_spaces.target import Target
from search_spaces.tensor_ir.word_instructions import (
    PAIR_PRODUCT,
    SIGNED_QUAD_PRODUCT,
    UNSIGNED_QUAD_PRODUCT,
    WordProduct,
)
from tuning_logs.file.log import TuningLog

X86 = Target.parse("llvm -mcpu=haswell -num-cores=2")
VNNI = Target.parse("llvm -mcpu=icelake-server -num-cores=2")
DOTPROD = Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=2")
ARM = Target.parse("llvm -mtriple=aarch64-linux-gnu -num-cores=2")
RNG = np.random.default_rng(0)
WHOLE = RNG.integers(-128, 128, (70, 24)).astype(np.float32)
KERNEL = RNG.integers(-128, 128, (12, 5, 3, 3)).astype(np.float32)
WIDE = RNG.integers(-128, 128, (64, 64, 3, 3)).astype(np.float32)
ROWS, IMAGE = "uint8[6,70] x, float[6,70] f", "int8[1,5,9,8] x, float[1,5,9,8] f"
BYTES = "uint8[1,5,9,8] x, uint8 p, float[1,5,9,8] f"

#: Nodes that compute y, and what they become.
WORDS = {
    "bytes": (ROWS, "c = Cast<to=1>(x) y = MatMul(c, w)", "matmul"),
    "centred": (ROWS, "c = Cast<to=1>(x) d = Sub(c, z) y = MatMul(d, w)", "matmul"),
    "doubles": (
        ROWS,
        "c = Cast<to=1>(x) d = Sub(c, z) e = Cast<to=11>(d) v = Cast<to=11>(w) p = MatMul(e, v) y = Cast<to=1>(p)",
        "matmul",
    ),
    "in int32": (
        ROWS,
        "c = Cast<to=1>(x) p = MatMul(c, w) i = Cast<to=6>(p) y = Cast<to=1>(i)",
        "matmul",
    ),
    "convolution": (IMAGE, "c = Cast<to=1>(x) d = Sub(c, z) y = Conv<pads=[1,1,1,1]>(d, k)", "conv2d"),
    "zero point that is computed": (
        BYTES,
        "c = Cast<to=1>(x) q = Cast<to=1>(p) d = Sub(c, q) y = Conv<pads=[1,1,1,1]>(d, k)",
        "conv2d",
    ),
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
#: What only pairs are wide enough for.
PAIRED = {
    "weights beyond 8 bits": (ROWS, "c = Cast<to=1>(x) y = MatMul(c, wide)"),
    "a zero point beyond 8 bits": (ROWS, "c = Cast<to=1>(x) d = Sub(c, far) y = MatMul(d, w)"),
    "a zero point for each column": (ROWS, "c = Cast<to=1>(x) d = Sub(c, zeros) y = MatMul(d, w)"),
}
PRODUCTS = {
    "pair": (X86, PAIR_PRODUCT),
    "unsigned_quad": (VNNI, UNSIGNED_QUAD_PRODUCT),
    "signed_quad": (DOTPROD, SIGNED_QUAD_PRODUCT),
}


def network(path: Path, inputs: str, nodes: str) -> Model:
    constants = {
        "w": WHOLE,
        "k": KERNEL,
        "u": WHOLE + 0.25,
        "h": np.float32(0.5),
        "z": np.float32(3),
        "far": np.float32(-300),
        "zeros": np.arange(70, dtype=np.float32),
        "wide": np.full((70, 24), 200, np.float32),
        "large": np.full((70, 24), 40000, np.float32),
        "depthwise": KERNEL[:5, :1],
    }
    signature = f"({inputs}) => (float y, float g)"
    onnx.save(written_network(signature, f"g = Neg(f) {nodes}", constants), path)
    return load_model(path)


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("product", PRODUCTS)
def test_products_of_bytes_are_exact_sums_of_words(
    product: str, name: str, tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, nodes, operator = WORDS[name]
    wanted, kind = PRODUCTS[product]
    model = network(tmp_path / "net.onnx", inputs, nodes)
    assert f"{product}_{operator}" in lower(model, wanted).script()
    assert f"quad_{operator}" not in (plain := lower(model, ARM).script())
    assert f"pair_{operator}" not in plain

    # Processors without the instruction multiply.
    monkeypatch.setattr(passes, "word_products", lambda _: (kind,))
    drawn = [np.asarray(RNG.integers(0, 100, spec.shape)).astype(spec.dtype) for spec in model.inputs]
    y, _ = compile(model, target, TuningLog.in_memory())(*drawn)

    zero = int(drawn[1]) if "Sub(c, q)" in nodes else 3 * ("Sub" in nodes)
    np.testing.assert_array_equal(y, expected(drawn[0].astype(np.int64) - zero, operator))


def expected(x: np.ndarray, operator: str) -> np.ndarray:
    """The product in 64 bits."""
    if operator == "matmul":
        return x @ WHOLE.astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    return np.einsum("nchwij,ocij->nohw", windows, KERNEL.astype(np.int64))


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("target", [X86, VNNI, DOTPROD], ids=str)
def test_other_products_stay_as_they_are(name: str, target: Target, tmp_path: Path) -> None:
    found = lower(network(tmp_path / "net.onnx", *KEPT[name]), target).script()

    assert "pair_" not in found
    assert "quad_" not in found


@pytest.mark.parametrize("name", PAIRED)
def test_what_does_not_fit_into_bytes_is_taken_in_pairs(name: str, tmp_path: Path) -> None:
    model = network(tmp_path / "net.onnx", *PAIRED[name])

    assert "pair_matmul" in lower(model, VNNI).script()
    assert "quad_" not in lower(model, DOTPROD).script()


@pytest.mark.parametrize("kind", [UNSIGNED_QUAD_PRODUCT, SIGNED_QUAD_PRODUCT], ids=lambda one: one.operator)
def test_the_largest_bytes_are_summed_exactly(
    kind: WordProduct, tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = {"w": np.full((512, 24), -128, np.float32), "z": np.float32(0)}
    signature = "(uint8[6,512] x, float[6] f) => (float y, float g)"
    onnx.save(
        written_network(signature, "g = Neg(f) c = Cast<to=1>(x) d = Sub(c, z) y = MatMul(d, w)", constants),
        tmp_path / "net.onnx",
    )
    monkeypatch.setattr(passes, "word_products", lambda _: (kind,))
    largest = np.full((6, 512), 255, np.uint8)

    y, _ = compile(load_model(tmp_path / "net.onnx"), target, TuningLog.in_memory())(
        largest, np.zeros(6, np.float32)
    )

    np.testing.assert_array_equal(y, np.full((6, 24), -128.0 * 255 * 512))


def wide_convolution(path: Path, nodes: str) -> Model:
    """A 3 × 3 convolution of bytes that Winograd's form does in floats with fewer operations."""
    constants = {"k": WIDE, "z": np.float32(3)}
    signature = "(uint8[1,64,28,28] x, float[1] f) => (float y, float g)"
    conv = "c = Cast<to=1>(x) d = Sub(c, z) p = Conv<pads=[1,1,1,1]>(d, k)"
    onnx.save(written_network(signature, f"g = Neg(f) {conv} {nodes}", constants), path)
    return load_model(path)


def test_winograd_takes_convolutions_that_become_floats_at_once(tmp_path: Path, target: Target) -> None:
    model = wide_convolution(tmp_path / "net.onnx", "i = Cast<to=6>(p) y = Cast<to=1>(i)")

    assert "winograd" in lower(model, X86).script()
    assert "winograd" not in lower(model, X86, never).script()
    assert "winograd" not in lower(model, VNNI).script()
    x = RNG.integers(0, 256, (1, 64, 28, 28)).astype(np.uint8)
    y, _ = compile(model, target, TuningLog.in_memory())(x, np.zeros(1, np.float32))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x.astype(np.float64) - 3, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    right = np.einsum("nchwij,ocij->nohw", windows, WIDE, optimize=True)
    np.testing.assert_allclose(y, right, rtol=0, atol=1e-6 * 576 * 128 * 255)


def test_results_that_stay_integers_are_exact_sums_of_pairs(tmp_path: Path) -> None:
    model = wide_convolution(tmp_path / "net.onnx", "i = Cast<to=6>(p) j = Add(i, i) y = Cast<to=1>(j)")

    found = lower(model, X86).script()

    assert "winograd" not in found
    assert "pair_conv2d" in found


def test_quantized_convolutions_are_of_words(tmp_path: Path) -> None:
    constants = {
        "s": np.float32(0.02),
        "z": np.uint8(7),
        "w": KERNEL.astype(np.int8),
        "r": np.full(12, 0.01, np.float32),
        "p": np.zeros(12, np.int8),
        "b": np.arange(12, dtype=np.int32),
    }
    nodes = "y = QLinearConv(x, s, z, w, r, p, s, z, b)"
    onnx.save(written_network("(uint8[1,5,9,8] x) => (uint8 y)", nodes, constants), tmp_path / "net.onnx")
    assert "unsigned_quad_conv2d" in lower(load_model(tmp_path / "net.onnx"), VNNI).script()
