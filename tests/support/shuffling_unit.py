"""A unit of ShuffleNet: grouped convolutions, channels shuffled between them, and a residual sum at the end."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def shuffling_unit(path: Path) -> Path:
    """Two groups of 30 channels."""
    rng = np.random.default_rng(0)
    constants = {
        "k1": rng.standard_normal((60, 30, 1, 1)),
        "b1": rng.standard_normal(60),
        "k2": rng.standard_normal((60, 30, 1, 1)),
        "b2": rng.standard_normal(60),
    }
    shapes = {"split": [1, 2, 30, 4, 4], "whole": [1, 60, 4, 4]}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    tensors += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "k1", "b1"], ["c1"], group=2),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Reshape", ["r1", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "whole"], ["u"]),
        helper.make_node("Conv", ["u", "k2", "b2"], ["c2"], group=2),
        helper.make_node("Add", ["c2", "x"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    shape = [1, 60, 4, 4]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "unit", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
