"""Clips and leaky ReLUs between convolutions: fused into the first of them, and the same numbers as before."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

DATA = np.array([-np.inf, -3.0, -1.0, -0.0, 0.5, 1.0, 7.0, np.inf], np.float32)


def network(path: Path, *nodes: onnx.NodeProto, **constants: float) -> Path:
    """A convolution of one to one channels by 1, the nodes from "c" to "h", and another such convolution."""
    one = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one")
    given = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "one"], ["c"]),
            *nodes,
            helper.make_node("Conv", ["h", "one"], ["y"]),
        ],
        "bounded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, len(DATA)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [one, *given],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


CLIP = helper.make_node("Clip", ["c", "low", "high"], ["h"])


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        ([CLIP], {"low": 0.0, "high": 6.0}, np.clip(DATA, 0, 6)),
        ([CLIP], {"low": -1.0, "high": np.nan}, np.clip(DATA, -1, np.inf)),
        ([helper.make_node("Clip", ["c", "", "high"], ["h"])], {"high": 1.0}, np.minimum(DATA, 1)),
        (
            [helper.make_node("HardSigmoid", ["c"], ["h"], alpha=0.5, beta=0.25)],
            {},
            np.clip(0.5 * DATA + 0.25, 0, 1),
        ),
        *(
            (
                [helper.make_node("LeakyRelu", ["c"], ["h"], alpha=alpha)],
                {},
                np.where(DATA < 0, np.float32(alpha) * DATA, DATA),
            )
            for alpha in (0.1, 1.0, 1.5, -0.5)
        ),
        ([helper.make_node("LeakyRelu", ["c"], ["h"], alpha=0.0)], {}, np.maximum(DATA, 0)),
    ],
)
def test_they_are_fused_and_compute_the_same(
    nodes: list[onnx.NodeProto],
    constants: dict[str, float],
    expected: np.ndarray,
    tmp_path: Path,
    target: Target,
) -> None:
    model = load_model(network(tmp_path / "bounded.onnx", *nodes, **constants))

    kernels = [name for name, _ in calls(lower(model, target))]
    assert sum("conv2d" in name for name in kernels) == 2
    bounding = ("imum", "relu", "clip", "multiply")
    assert not [name for name in kernels if "conv2d" not in name and any(part in name for part in bounding)]
    found = compile(model, target, TuningLog.in_memory())(DATA.reshape(1, 1, 1, -1))
    np.testing.assert_allclose(np.asarray(found).reshape(-1), expected, rtol=1e-6)
