"""Fixtures: a small network, the models of the examples, and the command line in this process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from repository import ROOT

from search_spaces.target import Target

_EXAMPLES = ROOT / "examples"


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def target() -> Target:
    """A plain CPU with two cores."""
    return Target.parse("llvm -num-cores=2")


@pytest.fixture(scope="session")
def seeded_weights() -> ModuleType:
    """The example that fills the architectures of the onnx package with weights."""
    return _example("seeded_weights")


@pytest.fixture(scope="session")
def trained_models() -> ModuleType:
    """The example that finds models inside installed packages."""
    return _example("trained_models")


@pytest.fixture(scope="session")
def small_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two equal convolutions, a pooling, and a dense layer, the convolutions being one task."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.standard_normal(shape, np.float32) / np.sqrt(np.prod(shape[1:]))
        return numpy_helper.from_array(values.astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"]),
            helper.make_node("Conv", ["r1", "k2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c2"], ["r2"]),
            helper.make_node("GlobalAveragePool", ["r2"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["flat"]),
            helper.make_node("Gemm", ["flat", "k3", "b3"], ["d"], transB=1),
            helper.make_node("Softmax", ["d"], ["y"]),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [
            weight("k1", 16, 16, 3, 3),
            weight("b1", 16),
            weight("k2", 16, 16, 3, 3),
            weight("b2", 16),
            weight("k3", 32, 16),
            weight("b3", 32),
        ],
    )
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.fixture
def autotune_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command of `autotune` in this process, and gives what it printed."""
    from autotune.cli.main import app

    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> str:
        app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return command
