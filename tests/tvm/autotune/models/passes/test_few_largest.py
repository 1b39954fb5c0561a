"""The few largest numbers of rows are found without sorting the rest, in the order that ONNX Runtime gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_comparison import onnx_runtime_outputs
from written_network import written_network

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.deployment.compilation import compile
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls, extract_tasks
from search_spaces.target import Target
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.file.log import TuningLog

RNG = np.random.default_rng(0)


def rows(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def check(x: np.ndarray, count: int, target: Target, folder: Path, attributes: str = "") -> str:
    """Compares both outputs of a TopK with ONNX Runtime's; the text of its kernels."""
    kind = {"float32": "float", "int64": "int64", "float64": "double"}[str(x.dtype)]
    sizes = ",".join(map(str, x.shape))
    signature = f"({kind}[{sizes}] x) => ({kind}[n] values, int64[n] places)"
    nodes = f"values, places = TopK{attributes}(x, k)"
    onnx.save(written_network(signature, nodes, {"k": [count]}), folder / "model.onnx")
    model = load_model(folder / "model.onnx")
    values, places = compile(model, target, TuningLog.in_memory())(x)
    expected = onnx_runtime_outputs(model, [x])
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(places, expected[1])
    return "".join(func.script() for _, func in calls(lower(model, target)))


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
@pytest.mark.parametrize("attributes", ["", "<largest=0>"])
@pytest.mark.parametrize("count", [10, 60])
def test_rows_in_any_order(order: str, attributes: str, count: int, target: Target, tmp_path: Path) -> None:
    x = rows(3, 200)
    if order in ("ascending", "descending"):
        x = np.sort(x)[:, :: 1 if order == "ascending" else -1].copy()
    if order == "equal":
        x = np.round(x)

    assert "while" in check(x, count, target, tmp_path, attributes)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((7,), 1),
        ((5, 8), 8),
        ((2, 3, 40), 16),
        ((1, 1000), 100),
        ((2, 1), 1),
        ((4, 300), 100),
        ((2, 500), 500),
    ],
)
def test_shapes_and_counts(shape: tuple[int, ...], count: int, target: Target, tmp_path: Path) -> None:
    assert "while" in check(rows(*shape), count, target, tmp_path)


def test_integers_and_infinities(target: Target, tmp_path: Path) -> None:
    check(RNG.integers(-5, 5, (4, 30)), 6, target, tmp_path)
    x = rows(2, 30)
    x[:, ::3], x[:, 1::3] = -np.inf, np.inf
    check(x, 16, target, tmp_path)
    check(x, 30, target, tmp_path)


def test_other_axes_are_sorted(target: Target, tmp_path: Path) -> None:
    assert "while" not in check(rows(300, 4), 10, target, tmp_path, "<axis=0>")


def test_a_candidate_of_it_builds(target: Target, tmp_path: Path) -> None:
    nodes = "values, places = TopK(x, k)"
    signature = "(float[4,40] x) => (float[n] values, int64[n] places)"
    onnx.save(written_network(signature, nodes, {"k": [3]}), tmp_path / "model.onnx")
    [task] = extract_tasks(load_model(tmp_path / "model.onnx"), target)
    space = TensorIRSpace(task)

    with LocalBuilder(workers=1) as builder:
        [built] = builder.build([space.apply(space.default)])

    assert isinstance(built, Artifact), built
