"""Engines that people would run instead compute what ONNX Runtime computes, and are found by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from written_network import written_network

import autotune.deployment.engines
from autotune.deployment.engine import draw
from autotune.deployment.engines import engine_names, find_engine
from autotune.models.model import Model, load_model
from search_spaces.errors import AutotuneError, Misuse


@pytest.fixture(scope="module")
def model(small_network: Path) -> Model:
    return load_model(small_network)


@pytest.mark.parametrize(("name", "package"), [("openvino", "openvino"), ("ncnn", "pnnx")])
def test_an_engine_computes_what_onnx_runtime_does(name: str, package: str, model: Model) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    inputs = draw(model.inputs, 0)
    [theirs] = find_engine("onnxruntime", model.path, model.shapes, 1).open()(*inputs)

    [found] = find_engine(name, model.path, model.shapes, 1).open()(*inputs)

    assert found.shape == theirs.shape
    np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture
def model_with_unread_input(tmp_path: Path) -> Model:
    signature = "(float[2,3] unread, float[4] x, float[4] y) => (float[4] z)"
    onnx.save(written_network(signature, "z = Sub(y, x)", {}), tmp_path / "model.onnx")
    return load_model(tmp_path / "model.onnx")


def test_ncnn_refuses_what_its_converter_does_not_keep(model_with_unread_input: Model) -> None:
    if find_spec("pnnx") is None:
        pytest.skip("pnnx is not installed")
    engine = find_engine("ncnn", model_with_unread_input.path, model_with_unread_input.shapes, 1)
    with pytest.raises(AutotuneError, match=r"3 inputs and 1 outputs of .*; found 3 and 2"):
        engine.open()


def test_ncnn_refuses_batches(tmp_path: Path) -> None:
    if find_spec("pnnx") is None:
        pytest.skip("pnnx is not installed")
    onnx.save(written_network("(float[2,3,8,8] x) => (float y)", "y = Relu(x)", {}), tmp_path / "model.onnx")
    engine = find_engine("ncnn", tmp_path / "model.onnx", {"x": (2, 3, 8, 8)}, 1)
    with pytest.raises(AutotuneError, match=r"first axis of size 1 .*; found 2 in x"):
        engine.open()


def test_openvino_runs_a_file_with_an_input_that_nothing_reads(model_with_unread_input: Model) -> None:
    pytest.importorskip("openvino")
    model = model_with_unread_input
    unread, x, y = draw(model.inputs, 0)

    [found] = find_engine("openvino", model.path, model.shapes, 1).open()(unread, x, y)

    np.testing.assert_array_equal(found, y - x)


def test_an_unknown_engine_is_refused_with_the_known_ones(model: Model) -> None:
    with pytest.raises(Misuse, match=r"one of .*onnxruntime.*openvino.*found 'no-such-engine'"):
        find_engine("no-such-engine", model.path, model.shapes, 1)


def test_other_packages_add_engines(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    added = EntryPoint("mine", "autotune.deployment.onnxruntime_engine:OnnxRuntime", "autotune.engines")
    monkeypatch.setattr(autotune.deployment.engines, "entry_points", lambda group: [added])

    assert engine_names() == ["mine"]
    assert find_engine("mine", model.path, model.shapes, 1).open()(*draw(model.inputs, 0))
