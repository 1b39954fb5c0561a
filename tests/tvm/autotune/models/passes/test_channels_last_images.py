"""Images that tokens are read as keep their channels last, and compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from build_comparison import check_build
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from autotune.models.model import Model, load_model
from autotune.models.passes.channels_last_images import with_channels_last_images
from search_spaces.target import Target

CHANNELS, SIDE = 8, 4
# What is done with the image `i`, in ONNX's operators; the result is `o`.
OPERATIONS = {
    "linear": [("Resize", ["i", "", "scales"], "o", {"mode": "linear"})],
    "nearest": [
        (
            "Resize",
            ["i", "", "scales"],
            "o",
            {
                "mode": "nearest",
                "nearest_mode": "floor",
                "coordinate_transformation_mode": "asymmetric",
            },
        )
    ],
    "max pool": [("MaxPool", ["i"], "o", {"kernel_shape": [2, 2], "strides": [2, 2]})],
    "average pool": [("AveragePool", ["i"], "o", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})],
    "pyramid": [
        ("Resize", ["i", "", "scales"], "large", {"mode": "linear"}),
        ("Resize", ["j", "", "more"], "larger", {"mode": "linear"}),
        ("Concat", ["large", "larger"], "o", {"axis": 1}),
    ],
}


def network(path: Path, operations: Sequence[tuple[str, list[str], str, dict[str, object]]]) -> Model:
    """Tokens with features last, read as images `i` and `j` of half the side, and the operations on them."""
    constants = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "more": np.array([1, 1, 4, 4], np.float32),
        "shape": np.array([1, CHANNELS, SIDE, SIDE], np.int64),
        "half": np.array([1, CHANNELS, SIDE // 2, SIDE // 2], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "shape"], ["i"]),
        helper.make_node("Transpose", ["z"], ["other"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["other", "half"], ["j"]),
        *(
            helper.make_node(kind, inputs, [output], **attributes)
            for kind, inputs, output, attributes in operations
        ),
    ]
    read = {name for node in nodes for name in node.input}
    tokens = {"x": SIDE**2, "z": (SIDE // 2) ** 2} if "j" in read else {"x": SIDE**2}
    if "j" not in read:
        nodes = [*nodes[:2], *nodes[4:]]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, CHANNELS])
            for name, count in tokens.items()
        ],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in read],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def layouts(module: tvm.IRModule) -> list[str]:
    """The layouts of the module's resizes and pools."""
    found: list[str] = []

    def visit(expr: object) -> None:
        if isinstance(expr, relax.Call) and hasattr(expr.attrs, "layout"):
            found.append(str(expr.attrs.layout))

    relax.analysis.post_order_visit(module["main"], visit)
    return found


@pytest.mark.parametrize("operations", OPERATIONS.values(), ids=OPERATIONS)
def test_operators_on_images_of_tokens_compute_the_same_on_channels_last_data(
    operations: list[tuple[str, list[str], str, dict[str, object]]], tmp_path: Path, target: Target
) -> None:
    model = network(tmp_path / "tokens.onnx", operations)
    converted = layouts(with_channels_last_images(model.module))
    assert converted
    assert set(converted) == {"NHWC"}
    check_build(model, target)


def test_images_with_channels_first_keep_their_layout() -> None:
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType((1, 3, 8, 8), "float32"))
    with builder.function("main", [image]):
        with builder.dataflow():
            larger = builder.emit(relax.op.image.resize2d(image, (16, 16)))
            result = builder.emit_output(relax.op.nn.max_pool2d(larger, (2, 2)))
        builder.emit_func_output(result)
    assert set(layouts(with_channels_last_images(builder.get()))) == {"NCHW"}


def test_concatenations_of_other_views_of_tokens_stay() -> None:
    builder = relax.BlockBuilder()
    tokens = relax.Var("tokens", relax.TensorType((1, 16, 8), "float32"))
    with builder.function("main", [tokens]):
        with builder.dataflow():
            turned = builder.emit(relax.op.permute_dims(tokens, [0, 2, 1]))
            view = builder.emit(relax.op.reshape(turned, (1, 8, 2, 2, 4)))
            result = builder.emit_output(relax.op.concat([view, view], 1))
        builder.emit_func_output(result)
    found = with_channels_last_images(builder.get())
    assert list(map(int, found["main"].ret_ty.shape)) == [1, 16, 2, 2, 4]
