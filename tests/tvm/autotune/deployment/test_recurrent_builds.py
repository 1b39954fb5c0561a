"""Builds of networks that take many steps: a kernel and a packed weight for all steps, not for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import onnx_runtime_outputs

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.models.model import Model, load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

STEPS, HIDDEN = 70, 32


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"w": (1, 4 * HIDDEN, 8), "r": (1, 4 * HIDDEN, HIDDEN)}
    return {name: (rng.standard_normal(shape) * 0.2).astype(np.float32) for name, shape in shapes.items()}


def lstm() -> onnx.GraphProto:
    stored = [numpy_helper.from_array(array, name) for name, array in weights().items()]
    return helper.make_graph(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], "lstm", hidden_size=HIDDEN)],
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [STEPS, 1, 1, HIDDEN])],
        stored,
    )


def scan() -> onnx.GraphProto:
    """A recurrent layer as a Scan over the rows of its input."""
    stored = {name: array[0, :HIDDEN].T for name, array in weights().items()}
    body = onnx.parser.parse_graph(
        f"step (float[1,{HIDDEN}] h, float[8] row) => (float[1,{HIDDEN}] new, float[1,{HIDDEN}] out) "
        "{ own = MatMul(row, w) past = MatMul(h, r) sum = Add(own, past) new = Tanh(sum) out = Identity(new) }"
    )
    return helper.make_graph(
        [helper.make_node("Scan", ["start", "x"], ["end", "y"], "scan", body=body, num_scan_inputs=1)],
        "scan",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [STEPS, 1, HIDDEN])],
        [
            *(numpy_helper.from_array(array, name) for name, array in stored.items()),
            numpy_helper.from_array(np.zeros((1, HIDDEN), np.float32), "start"),
        ],
    )


@pytest.fixture(params=[lstm, scan], ids=lambda graph: graph.__name__)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    path = tmp_path / "steps.onnx"
    onnx.save(
        helper.make_model(request.param(), opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return load_model(path)


def test_steps_share_kernels_and_packed_weights(model: Model, target: Target) -> None:
    build = compile(model, target, TuningLog.in_memory())
    inputs = draw(model.inputs, 0)

    [expected] = onnx_runtime_outputs(model, inputs)
    found = build(*inputs)

    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert len(build.coverage.rows) < 20 < STEPS < sum(row.calls for row in build.coverage.rows)
    assert build.prepacked <= 3 and build.runtime_packs == 0
