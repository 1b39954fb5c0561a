"""The referee's bounds follow what roundings inside of a model do, and hide no faults beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.onnx_reference import OnnxSessions
from autotune.deployment.referee import judge

X = np.random.default_rng(0).standard_normal((1, 8, 32)).astype(np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((8, 8, 1)).astype(np.float32)


def model_of(steps: Sequence[tuple[str, str]], constant: float, kind: int, result: int) -> onnx.ModelProto:
    """Operators one after another, each with one constant beside what the last one has computed."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    names = ["x", *(f"h{place}" for place in range(len(steps) - 1)), "y"]
    nodes = [
        helper.make_node(operator, [read, *filter(None, [other])], [made])
        for (operator, other), read, made in zip(steps, names, names[1:], strict=False)
    ]
    graph = helper.make_graph(
        nodes,
        "steps",
        [helper.make_tensor_value_info("x", kind, X.shape)],
        [helper.make_tensor_value_info("y", result, X.shape)],
        [
            numpy_helper.from_array(np.array(constant, dtype), "c"),
            numpy_helper.from_array(np.array(0.1, dtype), "limit"),
            numpy_helper.from_array(WEIGHT.astype(dtype), "w"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mistakes(model: onnx.ModelProto, exact: npt.NDArray[np.generic]) -> tuple[str | None, str | None]:
    """The verdicts on exact outputs, and on outputs of the reference of which one element is off by a tenth."""
    sessions = OnnxSessions("steps.onnx", model, 1, 0)
    given = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    [right] = sessions.expected([X.astype(given)], 0)
    sessions.close()
    wrong = right.values.copy()
    wrong.flat[7] = ~wrong.flat[7] if wrong.dtype == bool else wrong.flat[7] + 0.1 * np.abs(wrong).max()
    return judge([exact], [right]).mistake, judge([wrong], [right]).mistake


@pytest.mark.parametrize("constant", [16.0, 4096.0, 50_000.0])
@pytest.mark.parametrize(
    "steps",
    [
        [("Add", "c"), ("Sub", "c")],
        [("Add", "c"), ("Relu", ""), ("Sub", "c")],
        [("Add", "c"), ("Sqrt", ""), ("Mul", "h1"), ("Sub", "c")],
    ],
    ids=lambda steps: "-".join(operator for operator, _ in steps),
)
def test_more_exact_outputs_than_the_references_own_are_right(
    steps: list[tuple[str, str]], constant: float
) -> None:
    exact, wrong = mistakes(model_of(steps, constant, TensorProto.FLOAT, TensorProto.FLOAT), X)
    assert exact is None
    assert wrong is not None


def test_operators_without_kernels_in_float64_are_computed_in_float32() -> None:
    steps = [("Conv", "w"), ("HardSigmoid", ""), ("Add", "c"), ("Sub", "c")]
    model = model_of(steps, 4096.0, TensorProto.FLOAT, TensorProto.FLOAT)
    convolved = np.einsum("oik,nil->nol", WEIGHT, X)
    exact, wrong = mistakes(model, np.clip(0.2 * convolved + 0.5, 0, 1).astype(np.float32))
    assert exact is None
    assert wrong is not None


def test_what_cancels_in_half_floats_may_be_off_by_their_roundings() -> None:
    model = model_of([("Add", "c"), ("Sub", "c")], 64.0, TensorProto.FLOAT16, TensorProto.FLOAT16)
    half = X.astype(np.float16)
    assert mistakes(model, (half + np.float16(64)) - np.float16(64))[0] is None
    assert mistakes(model, half + np.float16(0.5))[0] is not None


def test_comparisons_that_roundings_flip_are_left_open_and_others_are_not() -> None:
    model = model_of(
        [("Add", "c"), ("Sub", "c"), ("Less", "limit")], 4096.0, TensorProto.FLOAT, TensorProto.BOOL
    )
    exact, wrong = mistakes(model, np.float32(0.1) > X)
    assert exact is None
    assert wrong is not None


def test_large_models_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.deployment.other_precision.MOST_WEIGHT_BYTES", 1)
    exact, wrong = mistakes(
        model_of([("Add", "c"), ("Relu", "")], 16.0, TensorProto.FLOAT, TensorProto.FLOAT), X + 16
    )
    assert exact is None
    assert wrong is not None
