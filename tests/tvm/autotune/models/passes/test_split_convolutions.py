"""Convolutions of a concatenation are summed over its parts, and compute the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import onnx_runtime_outputs

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge, of_peer
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

POOL = helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2])


def network(path: Path, filters: int, pool: bool, second_reader: bool) -> Path:
    """Two 3×3 convolutions from 4 to 16 and 24 channels, concatenated, perhaps pooled, and squeezed by a 1×1 one."""
    rng = np.random.default_rng(0)
    shapes = {"k1": (16, 4, 3, 3), "k2": (24, 4, 3, 3), "k3": (filters, 40, 1, 1), "b": (filters,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    squeezed = "p" if pool else "a"
    size = 3 if pool else 6
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["l"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "k2"], ["r"], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["l", "r"], ["a"], axis=1),
        *([POOL] if pool else []),
        helper.make_node("Conv", [squeezed, "k3", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
        *([helper.make_node("Sigmoid", [squeezed], ["z"])] if second_reader else []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, filters, size, size])]
    if second_reader:
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 40, size, size]))
    graph = helper.make_graph(
        nodes, "fire", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])], outputs, weights
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("filters", "pool", "second_reader", "concatenates"),
    [(8, False, False, False), (8, True, False, False), (40, False, False, True), (8, False, True, True)],
)
def test_concatenations_go_where_they_cost_more_than_a_sum(
    filters: int, pool: bool, second_reader: bool, concatenates: bool, tmp_path: Path, target: Target
) -> None:
    model = load_model(network(tmp_path / "fire.onnx", filters, pool, second_reader))
    inputs = draw(model.inputs, 0)

    ours = compile(model, target, TuningLog.in_memory())(*inputs)

    theirs = onnx_runtime_outputs(model, inputs)
    verdict = judge(ours if isinstance(ours, tuple) else (ours,), of_peer(theirs))
    assert verdict.mistake is None, verdict
    names = [task.name for task in extract_tasks(model, target)]
    assert any("concat" in name for name in names) is concatenates, names
