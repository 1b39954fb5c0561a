"""Elementwise operators, arrangements and reductions against ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx_comparison import check, run, single_node

_RANDOM = np.random.default_rng(0)
X = _RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    "operator", ["Celu", "Elu", "Selu", "ThresholdedRelu", "Shrink", "HardSwish", "HardSigmoid"]
)
def test_activations(operator):
    check(single_node(operator, [X * 3], opset=18), [X * 3])
    if operator in ("Elu", "Celu", "ThresholdedRelu"):
        check(single_node(operator, [X * 3], opset=18, alpha=0.7), [X * 3])


def test_softplus_of_small_values():
    x = np.linspace(-80, 30, 4001).astype(np.float32)
    (found,) = run(check(single_node("Softplus", [x], opset=18), [x]), [x])
    np.testing.assert_allclose(found, np.logaddexp(0, x.astype(np.float64)), rtol=3e-7)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate):
    check(single_node("Gelu", [X], opset=20, approximate=approximate), [X])


@pytest.mark.parametrize("operator", ["Gelu", "FastGelu", "QuickGelu"])
def test_gelus_of_onnx_runtime(operator):
    check(single_node(operator, [X], domain="com.microsoft"), [X])


def test_gelus_with_bias():
    bias = X[0, 0, 0]
    check(single_node("BiasGelu", [X, bias], domain="com.microsoft"), [X, bias])
    check(single_node("FastGelu", [X, bias], domain="com.microsoft"), [X, bias])


@pytest.mark.parametrize("types", list(itertools.product(["f4", "i4", "i8"], repeat=2)))
def test_power(types):
    base, exponent = (np.arange(1, 5).astype(dtype) for dtype in types)
    check(single_node("Pow", [base, exponent], opset=15), [base, exponent])


@pytest.mark.parametrize(
    "exponent", [np.float32(3), np.full((1, 1), 2, np.int64), np.full((1, 1, 1), 4, np.float32)]
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_small_constant_powers_are_products(exponent, dtype):
    base = np.arange(-3, 5).astype(dtype).reshape(2, 4)

    model = check(single_node("Pow", [base, exponent], {1: exponent}, opset=15), [base, exponent][:1])

    is_wider = np.ndim(exponent) > base.ndim
    assert ("Pow" in {node.op_type for node in model.graph.node}) == is_wider


@pytest.mark.parametrize("fmod", [0, 1])
@pytest.mark.parametrize("dtype", ["f4", "i4", "i8"])
def test_modulo(fmod, dtype):
    if dtype == "f4" and not fmod:
        pytest.skip("ONNX Runtime wants fmod=1 for floats")
    x, y = np.array([5, -5, 7, -7, 4]).astype(dtype), np.array([3, 3, -3, -3, 2]).astype(dtype)
    check(single_node("Mod", [x, y], opset=13, fmod=fmod), [x, y])


@pytest.mark.parametrize(("positive", "negative"), list(itertools.product([0, 1], repeat=2)))
def test_infinities(positive, negative):
    x = np.array([np.inf, -np.inf, 1, np.nan], np.float32)
    check(single_node("IsInf", [x], opset=10, detect_positive=positive, detect_negative=negative), [x])


def test_equal_booleans():
    x, y = np.array([True, False, True]), np.array([True, True, False])
    check(single_node("Equal", [x, y], opset=13), [x, y])


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_bit_shift(direction):
    x, y = np.array([1, 200, 3], np.uint8), np.array([1, 2, 7], np.uint8)
    check(single_node("BitShift", [x, y], opset=11, direction=direction), [x, y])


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_one_hot(axis, dtype):
    indices, values = np.array([[0, 2, -1], [3, 1, -4]]), np.array([0, 1]).astype(dtype)
    depth = np.array([4])
    check(single_node("OneHot", [indices, depth, values], {1: 0}, opset=11, axis=axis), [indices, values])


def test_mean_and_extrema():
    y = X[:, :1] * 2
    for operator in ("Mean", "Max", "Min", "Sum"):
        check(single_node(operator, [X, y, X], opset=13), [X, y, X])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize(
    "pads", [(0, 0, 1, 2, 0, 0, 2, 1), (0, 1, 0, -1, 0, 0, 2, 1), (0, -1, 0, 0, 0, -1, -1, 3)]
)
def test_pads(mode, pads):
    if mode != "constant" and min(pads) < 0:
        pytest.skip("ONNX Runtime and ONNX differ")
    value = np.array(3, np.float32)
    inputs = [X, np.array(pads)] + ([value] if mode == "constant" else [])
    check(
        single_node("Pad", inputs, {1: 0}, opset=19, mode=mode), [X, *([value] if mode == "constant" else [])]
    )
    if mode != "wrap":
        check(
            single_node(
                "Pad",
                [X],
                opset=10,
                mode=mode,
                pads=list(pads),
                **({"value": 1.5} if mode == "constant" else {}),
            ),
            [X],
        )


def test_pad_of_axes():
    check(single_node("Pad", [X, np.array([1, 2]), None, np.array([-1])], {1: 0, 3: 0}, opset=19), [X])


@pytest.mark.parametrize(
    "bounds",
    [((1, 0), (3, 9), (2, 3), (1, 2)), ((-1, 4), (-9, 0), (2, 3), (-1, -2)), ((5,), (-20,), (-1,), (-1,))],
)
def test_slices(bounds):
    inputs = [X, *(np.array(each) for each in bounds)]
    check(single_node("Slice", inputs, dict.fromkeys(range(1, 5)), opset=13), [X])


def test_old_slice():
    check(single_node("Slice", [X], opset=9, starts=[1, -3], ends=[2, 1000], axes=[1, 3]), [X])


@pytest.mark.parametrize("axis", [1, -1])
def test_uneven_splits(axis):
    check(single_node("Split", [X], outputs=2, opset=18, axis=axis, num_outputs=2), [X])
    sizes = np.array([1, X.shape[axis] - 1])
    check(single_node("Split", [X, sizes], {1: 0}, outputs=2, opset=13, axis=axis), [X])
    check(single_node("Split", [X], outputs=2, opset=11, axis=axis, split=sizes.tolist()), [X])


def test_tile():
    check(single_node("Tile", [X, np.array([1, 2, 1, 3])], {1: 0}, opset=13), [X])


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [-2, 0, 3])
def test_triangles(upper, diagonal):
    check(single_node("Trilu", [X, np.array(diagonal)], opset=14, upper=upper), [X, np.array(diagonal)])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode):
    x = _RANDOM.normal(size=(2, 12, 2, 3)).astype(np.float32)
    check(single_node("DepthToSpace", [x], opset=13, blocksize=2, mode=mode), [x])
    y = _RANDOM.normal(size=(2, 3, 4, 6)).astype(np.float32)
    check(single_node("SpaceToDepth", [y], opset=13, blocksize=2), [y])


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0)])
def test_reverse_sequence(time, batch):
    x = _RANDOM.normal(size=(4, 4, 2)).astype(np.float32)
    lengths = np.array([1, 2, 3, 4])
    check(
        single_node("ReverseSequence", [x, lengths], opset=10, time_axis=time, batch_axis=batch), [x, lengths]
    )


def test_center_crop_pad():
    check(single_node("CenterCropPad", [X, np.array([5, 2])], {1: 0}, opset=18, axes=[2, 3]), [X])


_REDUCTIONS = ("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp")


@pytest.mark.parametrize("name", _REDUCTIONS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(name, keepdims):
    x = np.abs(X) * 40 if name == "LogSumExp" else np.abs(X)
    old = 11
    check(single_node(f"Reduce{name}", [x], opset=old, axes=[1, -1], keepdims=keepdims), [x])
    check(single_node(f"Reduce{name}", [x], opset=old, keepdims=keepdims), [x])
    axes = np.array([1, 3])
    check(single_node(f"Reduce{name}", [x, axes], {1: 0}, opset=18, keepdims=keepdims), [x])
    check(single_node(f"Reduce{name}", [x], opset=18, noop_with_empty_axes=1), [x])


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (11, 2), (11, -1), (11, 0), (13, 1), (13, -1)])
def test_softmax(operator, opset, axis):
    check(single_node(operator, [X], opset=opset, axis=axis), [X])


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(("keepdims", "last"), list(itertools.product([0, 1], repeat=2)))
@pytest.mark.parametrize("axis", [0, -1])
def test_extreme_places(operator, keepdims, last, axis):
    x = _RANDOM.integers(0, 3, (4, 3, 5)).astype(np.float32)
    check(single_node(operator, [x], opset=13, axis=axis, keepdims=keepdims, select_last_index=last), [x])


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 1])
def test_top_k(largest, axis):
    check(single_node("TopK", [X, np.array([2])], {1: 0}, 2, 11, axis=axis, largest=largest), [X])
    check(single_node("TopK", [X], outputs=2, opset=9, axis=axis, k=2), [X])


@pytest.mark.parametrize(("exclusive", "reverse"), list(itertools.product([0, 1], repeat=2)))
@pytest.mark.parametrize("shape", [(3, 7), (2, 130, 3), (5,)])
def test_cumulative_sum(exclusive, reverse, shape):
    x = _RANDOM.normal(size=shape).astype(np.float32)
    for axis in range(-len(shape), len(shape)):
        place = np.array(axis)
        check(single_node("CumSum", [x, place], {1: 0}, opset=14, exclusive=exclusive, reverse=reverse), [x])
    place = np.array(-1)
    check(single_node("CumSum", [x, place], opset=14, exclusive=exclusive, reverse=reverse), [x, place])
