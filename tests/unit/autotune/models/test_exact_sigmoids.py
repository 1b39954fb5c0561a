"""Sigmoids of references are exact where ONNX Runtime's own are zero."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from autotune.models.onnx_passes.exact_sigmoids import with_exact_sigmoids

FAR = np.array([-80.0, -30.0, -17.5, -1.0, 0.0, 1.0, 17.5, 80.0])


def computed(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def sigmoid(kind: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Identity", ["s"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, [8])],
        [helper.make_tensor_value_info("y", kind, [8])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_small_values_are_exact_relative_to_themselves() -> None:
    model = sigmoid(TensorProto.FLOAT)

    found = computed(with_exact_sigmoids(model), FAR.astype(np.float32))

    np.testing.assert_allclose(found, 1 / (1 + np.exp(-FAR)), rtol=2e-5)
    assert [node.op_type for node in model.graph.node] == ["Sigmoid", "Identity"], "the model is left alone"


def test_models_with_doubles_are_left_as_they_are() -> None:
    model = sigmoid(TensorProto.DOUBLE)

    assert with_exact_sigmoids(model) is model


def test_branches_are_rewritten_too() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, [8])
        return helper.make_graph([helper.make_node(operator, ["x"], [name])], name, [], [made])

    choice = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("a", "Sigmoid"), else_branch=branch("b", "Neg")
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMin", ["x"], ["m"], keepdims=0),
            helper.make_node("IsNaN", ["m"], ["n"]),
            helper.make_node("Not", ["n"], ["c"]),
            choice,
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    found = computed(with_exact_sigmoids(model), FAR.astype(np.float32))

    np.testing.assert_allclose(found, 1 / (1 + np.exp(-FAR)), rtol=2e-5)
