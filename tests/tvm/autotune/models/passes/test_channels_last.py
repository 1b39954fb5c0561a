"""Convolutions are converted to channels-last data, each one for itself, and compute the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.models.model import load_model
from autotune.models.passes.channels_last import left_over, with_channels_last
from search_spaces.target import Target
from tests.support.onnx_comparison import run
from tuning_logs.file.log import TuningLog

CHANNELS = 6
RNG = np.random.default_rng(0)


def chain(channels: list[int]) -> tvm.IRModule:
    """Convolutions of 3×3, one after the other; ``[4, 8, 5]`` are two, from 4 to 8 and from 8 to 5 channels."""
    builder = relax.BlockBuilder()
    image = relax.Var("x", relax.TensorType((1, channels[0], 8, 8), "float32"))
    with builder.function("main", [image]):
        with builder.dataflow():
            value: Any = image
            for read, written in pairwise(channels):
                weight = relax.const(RNG.standard_normal((written, read, 3, 3)).astype(np.float32))
                value = builder.emit(relax.op.nn.conv2d(value, weight, padding=1))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    return builder.get()


def written_last(module: tvm.IRModule) -> list[int]:
    """The output channels of the convolutions that are channels-last."""
    found: list[int] = []

    def visit(expr: Any) -> None:
        is_convolution = isinstance(expr, relax.Call) and getattr(expr.op, "name", "") == "relax.nn.conv2d"
        if is_convolution and str(expr.attrs.data_layout) == "NHWC":
            found.append(int(expr.ty.shape[3]))

    relax.analysis.post_order_visit(module["main"], visit)
    return found


class Legalization:
    """Fails where a convolution with so many output channels is channels-last, and remembers what went through."""

    def __init__(self, *refused: int) -> None:
        self.refused, self.done = set(refused), dict[tvm.IRModule, list[int]]()

    def __call__(self, module: tvm.IRModule) -> tvm.IRModule:
        converted = written_last(module)
        if self.refused & set(converted):
            raise RuntimeError("no such layout")
        legal = relax.transform.LegalizeOps()(module)
        self.done[legal] = converted
        return legal


@pytest.mark.parametrize("refused", [(), (8,), (5,), (12, 7), (8, 12, 7, 5)])
def test_a_convolution_that_cannot_be_converted_keeps_its_layout_alone(refused: tuple[int, ...]) -> None:
    legalize = Legalization(*refused)
    converted = with_channels_last(chain([4, 8, 12, 7, 5]), legalize)
    assert legalize.done[converted] == [size for size in (8, 12, 7, 5) if size not in refused]


def test_a_module_that_cannot_be_legalized_at_all_raises() -> None:
    def legalize(module: tvm.IRModule) -> tvm.IRModule:
        raise RuntimeError("no such operator")

    with pytest.raises(RuntimeError, match="no such operator"):
        with_channels_last(chain([4, 8]), legalize)


def test_calls_that_are_left_over_are_named_once() -> None:
    module = chain([4, 8, 5])
    assert left_over(module) == ("relax.nn.conv2d",)
    assert left_over(relax.transform.LegalizeOps()(module)) == ()


def nodes_between(*nodes: tuple[str, list[str], dict[str, Any]]) -> list[onnx.NodeProto]:
    """Nodes from the tensor a to the tensor b, with t0, t1 and so on in between."""
    names = [f"t{place}" for place in range(len(nodes) - 1)] + ["b"]
    return [
        helper.make_node(
            operator, ["a" if place == 0 else names[place - 1], *constants], [name], **attributes
        )
        for place, ((operator, constants, attributes), name) in enumerate(zip(nodes, names, strict=True))
    ]


BETWEEN = {
    "softmax of channels": nodes_between(("Softmax", [], {"axis": 1})),
    "cumulated rows": nodes_between(("CumSum", ["two"], {})),
    "padded by reflection": nodes_between(("Pad", ["pads"], {"mode": "reflect"})),
    "tokens": nodes_between(
        ("Reshape", ["tokens"], {}),
        ("Transpose", [], {"perm": [0, 2, 1]}),
        ("Softmax", [], {"axis": 2}),
        ("Transpose", [], {"perm": [0, 2, 1]}),
        ("Reshape", ["image"], {}),
    ),
    "blocks": nodes_between(("SpaceToDepth", [], {"blocksize": 2}), ("DepthToSpace", [], {"blocksize": 2})),
    "slopes": nodes_between(("PRelu", ["slopes"], {})),
    "normalized": nodes_between(("InstanceNormalization", ["scales", "shifts"], {})),
    "normalized in groups": nodes_between(
        ("Reshape", ["groups"], {}),
        ("InstanceNormalization", ["each group", "each group"], {}),
        ("Reshape", ["image"], {}),
    ),
    "over the width": nodes_between(("LayerNormalization", ["width"], {"axis": 3})),
    "enlarged": nodes_between(("Resize", ["", "double"], {"mode": "linear"})),
    "volume": nodes_between(
        ("Unsqueeze", ["two"], {}), ("Conv", ["cube"], {"pads": [1] * 6}), ("Squeeze", ["two"], {})
    ),
    "signal": nodes_between(
        ("ReduceMean", ["two"], {"keepdims": 0}),
        ("Conv", ["line"], {"pads": [1, 1]}),
        ("Unsqueeze", ["two"], {}),
    ),
    "up and down": nodes_between(
        ("ConvTranspose", ["square"], {"strides": [2, 2]}), ("MaxPool", [], {"kernel_shape": [2, 2]})
    ),
}
CONSTANTS = {
    "two": np.array([2]),
    "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]),
    "tokens": np.array([1, CHANNELS, 64]),
    "image": np.array([1, CHANNELS, 8, 8]),
    "groups": np.array([1, 2, -1]),
    "each group": (2,),
    "double": np.array([1, 1, 2, 2], np.float32),
    "slopes": (CHANNELS, 1, 1),
    "scales": (CHANNELS,),
    "shifts": (CHANNELS,),
    "width": (8,),
    "cube": (CHANNELS, CHANNELS, 3, 3, 3),
    "line": (CHANNELS, CHANNELS, 3),
    "square": (CHANNELS, CHANNELS, 2, 2),
    "first": (CHANNELS, 4, 3, 3),
    "last": (5, CHANNELS, 3, 3),
}


@pytest.mark.parametrize("between", list(BETWEEN))
def test_operators_between_convolutions_compute_what_onnx_runtime_does(
    between: str, tmp_path: Path, target: Target
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
        *BETWEEN[between],
        helper.make_node("Conv", ["b", "last"], ["y"], pads=[1, 1, 1, 1]),
    ]
    read = {name for node in nodes for name in node.input}
    weights = [
        numpy_helper.from_array(
            RNG.standard_normal(one).astype(np.float32) if isinstance(one, tuple) else one, name
        )
        for name, one in CONSTANTS.items()
        if name in read
    ]
    graph = helper.make_graph(
        nodes,
        "between",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(proto, tmp_path / "between.onnx")
    model = load_model(tmp_path / "between.onnx")
    inputs = draw(model.inputs, 0)
    [expected] = run(proto, inputs)
    ours = compile(model, target, TuningLog.in_memory())(*inputs)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
