"""What explains a difference of a quantized network: scales of its weights that are off by a rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from written_network import written_network

from autotune.deployment.onnx_reference import OnnxSessions, _constants, _with_rounded_weights
from autotune.deployment.referee import Referee

RNG = np.random.default_rng(0)
CONSTANTS = {
    "sx": np.float32(0.1),
    "zx": np.uint8(3),
    "w": RNG.integers(-127, 128, (64, 48)).astype(np.int8),
    "sw": (RNG.random(48) * 0.01 + 0.003).astype(np.float32),
    "zw": np.zeros(48, np.int8),
    "sy": np.float32(0.3),
    "zy": np.uint8(128),
}
NODES = (
    "q = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q, sx, zx) v = DequantizeLinear<axis=1>(w, sw, zw) "
    "p = MatMul(d, v) r = QuantizeLinear(p, sy, zy) y = DequantizeLinear(r, sy, zy)"
)


def network() -> onnx.ModelProto:
    return written_network("(float[200,64] x) => (float y)", NODES, CONSTANTS)


def with_constant_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with its weights as nodes, as some exporters write them."""
    nodes = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in model.graph.initializer
    ]
    graph = onnx.helper.make_graph(
        [*nodes, *model.graph.node], "constants", model.graph.input, model.graph.output
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


@pytest.mark.parametrize("model", [network(), with_constant_nodes(network())], ids=["initializers", "nodes"])
def test_scales_of_quantized_weights_are_rounded_anew_and_those_of_data_are_not(
    model: onnx.ModelProto,
) -> None:
    off = _with_rounded_weights(model, 2.0**-23, np.random.default_rng(0))

    changed = {
        name
        for name, tensor in _constants(off.graph)
        if not np.array_equal(numpy_helper.to_array(tensor), CONSTANTS[name])
    }
    assert changed == {"sw"}


def test_steps_that_no_rounding_explains_are_a_mistake() -> None:
    x = RNG.uniform(-10, 10, (200, 64)).astype(np.float32)
    sessions = OnnxSessions("net.onnx", network(), 1, 0)
    referee = Referee((sessions.expected([x], 0),))
    [values] = sessions.run([x])

    assert referee.judge([[values]]).mistake is None
    assert referee.judge([[values + CONSTANTS["sy"]]]).mistake is not None
