"""Instance normalizations of reshaped images become group normalizations, of ONNX Runtime's values."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import check, compare, run

from autotune.models.onnx_passes.group_normalizations import with_group_normalizations

_RANDOM = np.random.default_rng(0)


def network(
    shape: tuple[int, ...], apart: list[int], back: list[int], extra: list[onnx.NodeProto] | None = None
) -> onnx.ModelProto:
    """A normalization of an image that is reshaped before and after, and further nodes with the output "z"."""
    groups = apart[1]
    weights = {
        "apart": np.array(apart),
        "back": np.array(back),
        "scale": _RANDOM.uniform(0.5, 2, groups).astype(np.float32),
        "shift": _RANDOM.normal(size=groups).astype(np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "apart"], ["parts"]),
        helper.make_node("InstanceNormalization", ["parts", "scale", "shift"], ["normal"], epsilon=1e-3),
        helper.make_node("Reshape", ["normal", "back"], ["y"]),
        *(extra or []),
    ]
    outputs = ["y", *(["z"] if extra else [])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("space", [(5,), (4, 5), (3, 4, 5)])
@pytest.mark.parametrize("batch", [1, 2])
def test_groups_of_channels_are_normalized_as_before(groups: int, space: tuple[int, ...], batch: int) -> None:
    shape = (batch, 12, *space)
    x = (3 + _RANDOM.normal(size=shape)).astype(np.float32)
    model = network(shape, [batch, groups, -1], [*shape])

    rewritten = with_group_normalizations(model)

    assert "GroupNormalization" in operators(rewritten)
    compare(run(check(rewritten, [x]), [x]), run(model, [x]), 1e-5)


@pytest.mark.parametrize(
    ("shape", "apart", "back"),
    [
        ((2, 12, 4, 5), [2, 3, -1], [2, 6, 8, 5]),
        ((2, 12, 4, 5), [1, 6, -1], [2, 12, 4, 5]),
        ((2, 12, 4, 5), [2, 8, -1], [2, 12, 4, 5]),
        ((2, 12, 4, 5), [2, 3, 16, 5], [2, 12, 4, 5]),
    ],
    ids=["another image", "groups across images", "groups across channels", "groups as images"],
)
def test_other_reshapes_stay(shape: tuple[int, ...], apart: list[int], back: list[int]) -> None:
    model = network(shape, apart, back)

    assert with_group_normalizations(model) is model


def test_a_normalization_with_other_readers_stays() -> None:
    model = network((2, 12, 4, 5), [2, 3, -1], [2, 12, 4, 5], [helper.make_node("Neg", ["normal"], ["z"])])

    assert with_group_normalizations(model) is model
