"""Convolutions of sequences become those of images with channels last, and compute the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from onnx import TensorProto, helper, numpy_helper

from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target

CHANNELS, LENGTH = 8, 20
SHAPES = {
    "k1": (CHANNELS, CHANNELS, 3),
    "k2": (CHANNELS, CHANNELS, 1),
    "channels": (CHANNELS, 1),
    "columns": (LENGTH,),
    "one": (1,),
    "all": (1, CHANNELS, LENGTH),
}


def network(path: Path, *nodes: onnx.NodeProto, **first: object) -> Model:
    """A convolution `c`, the nodes, and a convolution of what they call `m`."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in SHAPES.items()
    ]
    groups = int(first.get("group", 1))
    weights.append(
        numpy_helper.from_array(
            rng.standard_normal((CHANNELS, CHANNELS // groups, 3)).astype(np.float32), "k0"
        )
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k0"], ["c"], **{"pads": [1, 1], **first}),
            *nodes,
            helper.make_node("Conv", ["m", "k2"], ["y"]),
        ],
        "sequence",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, CHANNELS, LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def names_of(model: Model, target: Target) -> list[str]:
    return [name for name, _ in calls(lower(model, target))]


@pytest.mark.parametrize(
    "first",
    [{}, {"strides": [2]}, {"pads": [3, 1], "dilations": [2]}, {"group": 4}, {"group": CHANNELS}],
    ids=["plain", "stride", "dilation", "groups", "depthwise"],
)
def test_all_convolutions_have_channels_last(
    first: dict[str, object], tmp_path: Path, target: Target
) -> None:
    model = network(tmp_path / "sequence.onnx", helper.make_node("Relu", ["c"], ["m"]), **first)

    names = names_of(model, target)

    assert sum("conv2d" in name for name in names) == 2 and not any("conv1d" in name for name in names)
    check_build(model, target)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Mul", ["c", "channels"], ["m"])],
        [helper.make_node("Add", ["columns", "c"], ["m"])],
        [helper.make_node("Sub", ["c", "one"], ["m"])],
        [helper.make_node("Add", ["c", "all"], ["m"])],
        [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["m"])],
        [helper.make_node("Clip", ["c", "low", "high"], ["m"])],
        [helper.make_node("Add", ["c", "x"], ["m"])],
        [
            helper.make_node("Conv", ["c", "k1"], ["d"], pads=[1, 1]),
            helper.make_node("Add", ["d", "c"], ["m"]),
        ],
    ],
    ids=["channels", "columns", "one", "all", "silu", "clip", "input", "residual"],
)
def test_what_lies_between_convolutions_is_computed_on_images(
    nodes: list[onnx.NodeProto], tmp_path: Path, target: Target
) -> None:
    ends = [
        helper.make_node("Constant", [], ["low"], value_float=-0.5),
        helper.make_node("Constant", [], ["high"], value_float=0.5),
    ]
    model = network(tmp_path / "sequence.onnx", *ends, *nodes)

    names = names_of(model, target)

    at = [place for place, name in enumerate(names) if "conv2d" in name]
    between = names[at[0] : at[-1] + 1]
    assert not any("transpose" in name or "reshape" in name for name in between if "conv2d" not in name), (
        names
    )
    check_build(model, target)


@pytest.mark.parametrize(
    "nodes",
    [
        [
            helper.make_node("Conv", ["c", "k1"], ["d"], pads=[1, 1]),
            helper.make_node("Concat", ["c", "d"], ["both"], axis=1),
            helper.make_node("Split", ["both"], ["m", "rest"], axis=1),
        ],
        [
            helper.make_node("Concat", ["c", "c"], ["both"], axis=2),
            helper.make_node("Relu", ["both"], ["m"]),
        ],
        [
            helper.make_node("Softmax", ["c"], ["s"], axis=-1),
            helper.make_node("Mul", ["s", "c"], ["m"]),
        ],
        [helper.make_node("Sub", ["channels", "c"], ["m"])],
        [helper.make_node("MaxPool", ["c"], ["m"], kernel_shape=[3], strides=[2])],
    ],
    ids=["channels joined", "columns joined", "softmax", "taken from", "pool"],
)
def test_what_else_lies_between_them_computes_the_same(
    nodes: list[onnx.NodeProto], tmp_path: Path, target: Target
) -> None:
    check_build(network(tmp_path / "sequence.onnx", *nodes), target)
