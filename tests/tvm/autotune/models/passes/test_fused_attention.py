"""Attention with scores larger than caches is one call, and computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from onnx import TensorProto, helper, numpy_helper

from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.task_extraction import calls, extract_tasks
from search_spaces.target import Target
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

LENGTH, DEPTH = 1460, 8  # two heads have scores of 17 MB
# What becomes of the scores `s` before the softmax of `c`.
CHANGES = {
    "plain": [("Identity", ["s"], "c")],
    "scaled": [("Div", ["s", "scale"], "c")],
    "mask of columns": [("Mul", ["scale", "s"], "t"), ("Add", ["t", "columns"], "c")],
    "bias of heads": [("Add", ["heads", "s"], "c")],
    "mask of all": [("Sub", ["s", "all"], "c")],
}


def network(
    path: Path,
    changes: list[tuple[str, list[str], str]],
    sizes: tuple[int, int] = (LENGTH, LENGTH),
    output: str = "y",
) -> Model:
    """Attention of two heads with so many rows and columns of scores."""
    rows, columns = sizes
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.array(2.0, np.float32),
        "columns": np.where(rng.random((1, 1, 1, columns)) < 0.2, -np.inf, 0.0).astype(np.float32),
        "heads": rng.standard_normal((2, 1, 1)).astype(np.float32),
        "all": rng.standard_normal((rows, columns)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["s"]),
        *(helper.make_node(kind, inputs, [name]) for kind, inputs, name in changes),
        helper.make_node("Softmax", ["c"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
        helper.make_node("ReduceSum", ["p", "axis"], ["total"], keepdims=1),
    ]
    nodes = [node for node in nodes if output == "total" or node.output[0] != "total"]
    read = {name for node in nodes for name in node.input}
    shapes = {"q": (rows, DEPTH), "k": (DEPTH, columns), "v": (columns, DEPTH)}
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in read]
    if output == "total":
        weights.append(numpy_helper.from_array(np.array([2], np.int64), "axis"))
    graph = helper.make_graph(
        nodes,
        "attention",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2, *shape))
            for name, shape in shapes.items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in dict.fromkeys(("y", output))
        ],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def kernels(model: Model, target: Target) -> list[str]:
    """The names of the calls, without the numbers that tell them apart."""
    return [name.rstrip("0123456789") for name, _ in calls(lower(model, target))]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_attention_is_one_call(
    changes: list[tuple[str, list[str], str]], tmp_path: Path, target: Target
) -> None:
    model = network(tmp_path / "attention.onnx", changes)
    assert kernels(model, target) == ["attention"]
    check_build(model, target)


@pytest.mark.parametrize("sizes", [(1601, 1400), (16, 140_000), (40_000, 56)])
def test_rows_and_columns_need_not_fill_blocks(
    sizes: tuple[int, int], tmp_path: Path, target: Target
) -> None:
    model = network(tmp_path / "attention.onnx", CHANGES["mask of columns"], sizes)
    assert kernels(model, target) == ["attention"]
    check_build(model, target)


def test_what_something_else_reads_is_computed(tmp_path: Path, target: Target) -> None:
    model = network(tmp_path / "attention.onnx", CHANGES["scaled"], output="total")
    assert "attention" not in kernels(model, target)
    check_build(model, target)


def test_scores_that_fit_into_caches_are_computed_as_a_whole(tmp_path: Path, target: Target) -> None:
    model = network(tmp_path / "attention.onnx", CHANGES["scaled"], (64, 64))
    assert "attention" not in kernels(model, target)


def test_a_tuning_space_has_the_one_schedule(tmp_path: Path, target: Target) -> None:
    [task] = extract_tasks(network(tmp_path / "attention.onnx", CHANGES["plain"]), target)
    space = TensorIRSpace(task)
    assert space.size == 1
