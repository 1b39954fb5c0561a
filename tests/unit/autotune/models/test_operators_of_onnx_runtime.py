"""Operators that ONNX Runtime's optimizer writes, against ONNX Runtime."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_comparison import check, compare, run, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from search_spaces.errors import Misuse

_MICROSOFT = "com.microsoft"
_RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape).astype(np.float32)


def holds(
    operator: str, inputs: list, constants: tuple[int, ...] = (), tolerance: float = 1e-5, **form
) -> None:
    """Holds an operator against ONNX Runtime; the places in `constants` are weights."""
    model = single_node(operator, inputs, dict.fromkeys(constants), domain=_MICROSOFT, **form)
    fed = [array for place, array in enumerate(inputs) if array is not None and place not in constants]
    check(model, fed, tolerance)


@pytest.mark.parametrize(
    ("activation", "params"),
    [
        ("Relu", []),
        ("Tanh", []),
        ("Sigmoid", []),
        ("LeakyRelu", [0.2]),
        ("Clip", [0.0, 0.7]),
        ("HardSigmoid", [0.3, 0.4]),
    ],
)
@pytest.mark.parametrize("is_residual", [False, True])
def test_fused_convolutions(activation, params, is_residual):
    inputs = [floats(1, 3, 6, 7), floats(4, 3, 3, 3), floats(4), floats(1, 4, 6, 7) if is_residual else None]
    form = {"activation": activation, "pads": [1, 1, 1, 1]} | (
        {"activation_params": params} if params else {}
    )
    holds("FusedConv", inputs if is_residual else inputs[:3], (1, 2), **form)


def test_fused_convolutions_that_pad_by_themselves():
    holds(
        "FusedConv", [floats(1, 3, 6, 7), floats(4, 3, 3, 3)], (1,), auto_pad="SAME_UPPER", activation="Relu"
    )


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_fused_gemm(activation):
    inputs = [floats(3, 4), floats(5, 4), floats(5)]
    form = {"activation_alpha": 0.3} if activation == "LeakyRelu" else {}
    holds("FusedGemm", inputs, (1, 2), transB=1, alpha=0.5, activation=activation, **form)


def test_transposed_products():
    for operator in ("FusedMatMul", "TransposeMatMul"):
        holds(operator, [floats(2, 4, 3), floats(2, 5, 4)], transA=1, transB=1, alpha=0.25)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_inverses(size):
    holds("Inverse", [floats(2, 4, size, size) + 3 * np.eye(size, dtype=np.float32)], tolerance=1e-4)


def test_an_inverse_that_needs_pivots_is_refused():
    with pytest.raises(Misuse, match=r"com\.microsoft\.Inverse 'node'.*matrices of 4 rows"):
        with_canonical_operators(single_node("Inverse", [floats(4, 4)], domain=_MICROSOFT))


def test_halves_times_gelus():
    x, bias = floats(2, 3, 8), floats(8)
    rewritten = with_canonical_operators(single_node("BiasSplitGelu", [x, bias], domain=_MICROSOFT))
    left, right = np.split((x + bias).astype(np.float64), 2, axis=-1)
    right = right * 0.5 * (1 + np.vectorize(math.erf)(right / math.sqrt(2)))
    compare(run(rewritten, [x, bias]), [(left * right).astype(np.float32)], 1e-5)


def test_sums_of_three():
    arrays = [floats(2, 3, 8), floats(8), floats(2, 3, 8)]
    rewritten = with_canonical_operators(single_node("BiasAdd", arrays, domain=_MICROSOFT))
    compare(run(rewritten, arrays), [sum(arrays)], 1e-6)


_HIDDEN, _HEADS, _LENGTH, _BATCH = 8, 2, 5, 2
_MASKS = {
    "none": None,
    "lengths": np.array([3, 5], np.int32),
    "ends and starts": np.array([4, 5, 1, 0], np.int32),
    "places": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32),
    "pairs": np.tril(np.ones((_BATCH, _LENGTH, _LENGTH), np.int32)),
}


@pytest.mark.parametrize(("mask", "is_causal"), list(itertools.product(_MASKS, [0, 1])))
def test_attention(mask, is_causal):
    inputs = [floats(_BATCH, _LENGTH, 6), floats(6, 3 * _HIDDEN), floats(3 * _HIDDEN), _MASKS[mask]]
    inputs = inputs if mask != "none" else inputs[:3]
    holds("Attention", inputs, (1, 2), num_heads=_HEADS, unidirectional=is_causal)


def test_attention_of_other_sizes_scales_and_biases():
    inputs = [
        floats(_BATCH, _LENGTH, 6),
        floats(6, 20),
        floats(20),
        None,
        None,
        floats(1, _HEADS, _LENGTH, _LENGTH),
    ]
    holds("Attention", inputs, (1, 2), num_heads=_HEADS, qkv_hidden_sizes=[8, 8, 4], scale=0.3)


def test_attention_to_the_past():
    past = floats(2, _BATCH, _HEADS, 3, _HIDDEN // _HEADS)
    inputs = [floats(_BATCH, 2, 6), floats(6, 3 * _HIDDEN), floats(3 * _HIDDEN), None, past]
    holds("Attention", inputs, (1, 2), outputs=2, num_heads=_HEADS, unidirectional=1)


@pytest.mark.parametrize("mask", ["none", "places"])
@pytest.mark.parametrize("is_causal", [0, 1])
def test_quantized_attention(mask, is_causal):
    inputs = [
        _RANDOM.integers(0, 255, (_BATCH, _LENGTH, 6)).astype(np.uint8),
        _RANDOM.integers(-127, 127, (6, 3 * _HIDDEN)).astype(np.int8),
        floats(3 * _HIDDEN), np.array(0.02, np.float32), np.array(0.01, np.float32),
        _MASKS[mask], np.array(120, np.uint8), np.array(0, np.int8),
    ]  # fmt: skip
    holds("QAttention", inputs, (1, 2, 3, 4, 6, 7), num_heads=_HEADS, unidirectional=is_causal)


@pytest.mark.parametrize("mask", ["none", "lengths", "places"])
@pytest.mark.parametrize("is_causal", [0, 1])
def test_attention_of_several_heads(mask, is_causal):
    inputs = [*(floats(_BATCH, _LENGTH, _HIDDEN) for _ in range(3)), floats(3 * _HIDDEN), _MASKS[mask]]
    inputs.append(floats(_BATCH, _HEADS, _LENGTH, _LENGTH))
    holds("MultiHeadAttention", inputs, (3,), num_heads=_HEADS, unidirectional=is_causal)


def test_attention_of_several_heads_to_the_past_and_across():
    shape = (_BATCH, _HEADS, 3, _HIDDEN // _HEADS)
    own = [floats(_BATCH, 2, _HIDDEN) for _ in range(3)]
    holds(
        "MultiHeadAttention",
        [*own, None, None, None, floats(*shape), floats(*shape)],
        outputs=3,
        num_heads=_HEADS,
    )
    holds("MultiHeadAttention", [own[0], floats(*shape), floats(*shape)], num_heads=_HEADS)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("rank", [3, 4])
def test_rotary_embedding(interleaved, offset, rank):
    x = floats(2, 3, 16) if rank == 3 else floats(2, 2, 3, 8)
    positions = np.array([2], np.int64) if offset else np.array([[0, 1, 2], [4, 5, 6]], np.int64)
    angles = floats(10, 4)
    holds("RotaryEmbedding", [x, positions, np.cos(angles), np.sin(angles)], (2, 3), interleaved=interleaved)


def test_rotary_embedding_of_a_part():
    angles = floats(10, 2)
    form = {"num_heads": 2, "rotary_embedding_dim": 4}
    inputs = [floats(2, 3, 16), np.array([0], np.int64), np.cos(angles), np.sin(angles)]
    holds("RotaryEmbedding", inputs, (2, 3), **form)


@pytest.mark.parametrize("has_segments", [True, False])
@pytest.mark.parametrize("has_mask", [True, False])
def test_normalized_embeddings(has_segments, has_mask):
    ids = _RANDOM.integers(0, 20, (2, 4)).astype(np.int32)
    segments = _RANDOM.integers(0, 2, (2, 4)).astype(np.int32) if has_segments else None
    inputs = [
        ids,
        segments,
        floats(20, 8),
        floats(6, 8),
        floats(2, 8) if has_segments else None,
        floats(8),
        floats(8),
    ]
    inputs += [np.array([[1, 1, 1, 0], [1, 0, 0, 0]], np.int32)] if has_mask else []
    weights = tuple(place for place in (2, 3, 4, 5, 6) if inputs[place] is not None)
    model = single_node("EmbedLayerNormalization", inputs, dict.fromkeys(weights), 2, domain=_MICROSOFT)
    for value, kind in zip(model.graph.output, (TensorProto.FLOAT, TensorProto.INT32), strict=True):
        value.type.tensor_type.elem_type = kind
    check(model, [array for place, array in enumerate(inputs) if array is not None and place not in weights])


def _half_bytes(*shape: int) -> np.ndarray:
    return _RANDOM.integers(0, 255, shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("bits", "zeros"), [(4, "none"), (8, "none"), (4, "packed"), (8, "packed"), (4, "floats")]
)
def test_products_with_weights_of_few_bits(bits, zeros):
    rows, columns, block = 80, 6, 32
    blocks = -(-rows // block)
    inputs = [
        floats(3, rows),
        _half_bytes(columns, blocks, block * bits // 8),
        np.abs(floats(columns, blocks)),
    ]
    if zeros == "packed":
        inputs.append(_half_bytes(columns, -(-blocks * bits // 8)))
    elif zeros == "floats":
        inputs.append(floats(columns, blocks) * 3 + 8)
    form = {"K": rows, "N": columns, "bits": bits, "block_size": block}
    holds("MatMulNBits", inputs, tuple(range(1, len(inputs))), 1e-4, **form)


@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("includes_pads", [0, 1])
def test_quantized_average_pools(channels_last, includes_pads):
    x = _half_bytes(1, 6, 7, 3)
    inputs = [
        x,
        np.array(0.03, np.float32),
        np.array(120, np.uint8),
        np.array(0.02, np.float32),
        np.array(30, np.uint8),
    ]
    form = {
        "kernel_shape": [3, 2],
        "pads": [1, 0, 1, 1],
        "channels_last": channels_last,
        "count_include_pad": includes_pads,
    }
    holds("QLinearAveragePool", inputs, (1, 2, 3, 4), 0.02, **form)


def test_quantized_choices():
    forms = [
        [np.array(scale, np.float32), np.array(zero, np.uint8)]
        for scale, zero in ((0.03, 120), (0.05, 9), (0.06, 80))
    ]
    inputs = [floats(3, 4) > 0, _half_bytes(3, 4), *forms[0], _half_bytes(3, 1), *forms[1], *forms[2]]
    # Its tables round otherwise by at most one step.
    holds("QLinearWhere", inputs, (2, 3, 5, 6, 7, 8), 0.02)


def test_max_pools_with_the_channels_last():
    holds("NhwcMaxPool", [_half_bytes(1, 6, 7, 3)], kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1])


@pytest.mark.parametrize("operator", ["GroupQueryAttention", "MatMulBnb4", "NGramRepeatBlock"])
def test_other_operators_of_onnx_runtime_are_left_as_they_are(operator):
    model = single_node(operator, [floats(2, 3)], domain=_MICROSOFT)
    assert with_canonical_operators(model) is model


def test_quantization_of_onnx_runtime_is_that_of_onnx():
    x, scale, zero = floats(2, 3, 4), np.array(0.03, np.float32), np.array(7, np.uint8)
    rewritten = check(
        single_node("QuantizeLinear", [x, scale, zero], {1: 0, 2: 0}, domain=_MICROSOFT), [x], 0.01
    )
    assert {node.domain for node in rewritten.graph.node} <= {""}


def test_shapes_behind_operators_of_onnx_runtime_are_known():
    model = single_node("FastGelu", [floats(2, 3)], domain=_MICROSOFT)
    model.graph.node.append(helper.make_node("Shape", ["y0"], ["shape"]))
    model.graph.output.append(helper.make_tensor_value_info("shape", TensorProto.INT64, [2]))
    rewritten = with_canonical_operators(model)
    onnx.checker.check_model(rewritten)
    assert "Shape" not in [node.op_type for node in rewritten.graph.node]
