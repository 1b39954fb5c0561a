"""The walk over a model: which nodes are rewritten, and which models are left as they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_comparison import check, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from search_spaces.errors import Misuse

X = np.linspace(-2, 2, 24).astype(np.float32).reshape(1, 2, 3, 4)


def _chain(*nodes: onnx.NodeProto, opset: int = 13) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)
    graph = helper.make_graph(list(nodes), "chain", [value], [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(("operator", "opset"), [("Relu", 13), ("Softmax", 11), ("Identity", 13)])
def test_a_model_of_plain_operators_is_left_as_it_is(operator, opset):
    model = single_node(operator, [X], opset=opset)
    assert with_canonical_operators(model) is model


def test_a_copy_does_not_keep_others_from_being_rewritten():
    model = _chain(
        helper.make_node("Identity", ["x"], ["z"]), helper.make_node("Celu", ["z"], ["y"], alpha=0.5)
    )
    rewritten = check(model, [X])
    assert "Celu" not in {node.op_type for node in rewritten.graph.node}


def test_old_operators_beside_a_rewritten_one_take_their_current_form():
    nodes = [
        helper.make_node("Clip", ["x"], ["a"], min=-1.0, max=1.5),
        helper.make_node("ReduceMean", ["a"], ["b"], axes=[1], keepdims=1),
        helper.make_node("Squeeze", ["b"], ["c"], axes=[0, 1]),
        helper.make_node("Softmax", ["c"], ["d"], axis=0),
        helper.make_node("ThresholdedRelu", ["d"], ["y"], alpha=0.05),
    ]
    rewritten = check(_chain(*nodes, opset=10), [X])
    assert rewritten.opset_import[0].version > 13


def test_names_of_new_nodes_begin_with_the_old_one():
    rewritten = with_canonical_operators(_chain(helper.make_node("Celu", ["x"], ["y"], name="gate")))
    assert all(node.name.startswith(("gate/", "y/")) for node in rewritten.graph.node)


def test_what_follows_a_shape_that_depends_on_values_is_refused():
    boxes, scores = np.zeros((1, 4, 4), np.float32), np.zeros((1, 1, 4), np.float32)
    model = single_node("NonMaxSuppression", [boxes, scores, np.array([2])], {2: None})
    model.graph.node.append(helper.make_node("Gather", ["y0", "column"], ["g"], name="pick", axis=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2]), "column"))
    with pytest.raises(
        Misuse, match=r"Gather 'pick' .*reads a tensor as long as the values of others make it"
    ):
        with_canonical_operators(model)
