"""TFLite files compute what TFLite's interpreter computed when they were made."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from repository import GOLDEN

from autotune.deployment.compilation import compile
from autotune.deployment.referee import judge
from autotune.deployment.reference import reference_for
from autotune.deployment.tflite_reference import with_rounded_weights
from autotune.models.model import load_model, read_inputs
from autotune.models.model_format import ModelFormat
from autotune.models.task_extraction import extract_tasks
from search_spaces.errors import Misuse
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

pytest.importorskip("tflite", reason="the tflite package, which reads TFLite files, is not installed")

MODELS = GOLDEN / "models"


@pytest.mark.parametrize(("name", "tolerance"), [("float", 1e-6), ("int8", 0)])
def test_outputs(name: str, tolerance: float, target: Target) -> None:
    model = load_model(MODELS / f"{name}.tflite")
    stored = np.load(MODELS / f"{name}.npz")
    found = compile(model, target, TuningLog.in_memory())(stored["inputs"])
    assert isinstance(found, np.ndarray)
    assert found.dtype == stored["outputs"].dtype
    np.testing.assert_allclose(found, stored["outputs"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["float", "int8"])
def test_the_reference_accepts_its_own_outputs_and_refuses_others(name: str) -> None:
    if find_spec("ai_edge_litert") is None:
        pytest.skip("TFLite's interpreter is not installed: pip install ai-edge-litert")
    stored = np.load(MODELS / f"{name}.npz")
    right = reference_for(MODELS / f"{name}.tflite", {}, 1).expected([stored["inputs"]], 0)
    assert judge([stored["outputs"]], right).mistake is None
    wrong = stored["outputs"].copy()
    wrong.flat[3] += 4 if name == "int8" else 0.1 * np.abs(wrong).max()
    assert judge([wrong], right).mistake is not None


def test_weights_are_rounded_anew_and_nothing_else(tmp_path: Path, target: Target) -> None:
    whole = MODELS / "float.tflite"
    changed = tmp_path / "float.tflite"
    changed.write_bytes(with_rounded_weights(whole.read_bytes(), 1e-3, np.random.default_rng(0)))
    inputs = np.load(MODELS / "float.npz")["inputs"]
    found, other = (
        compile(load_model(path), target, TuningLog.in_memory())(inputs) for path in (whole, changed)
    )
    error = float(np.abs(np.subtract(found, other)).max() / np.abs(found).max())
    assert 1e-5 < error < 1e-2
    quantized = (MODELS / "int8.tflite").read_bytes()
    assert with_rounded_weights(quantized, 1e-3, np.random.default_rng(0)) == quantized


def test_the_model(target: Target) -> None:
    model = load_model(MODELS / "float.tflite")
    (spec,) = model.inputs
    assert (model.name, model.format) == ("float", ModelFormat.TFLITE)
    assert (spec.shape, spec.dtype) == ((1, 16, 16, 3), "float32")
    assert read_inputs(model.path, model.shapes) == model.inputs
    # Bias, clipping and the residual sum are part of the convolutions.
    assert len(extract_tasks(model, target)) == 6


def test_other_shapes_are_refused() -> None:
    name = load_model(MODELS / "float.tflite").inputs[0].name
    with pytest.raises(Misuse, match="expected 16 for dimension"):
        load_model(MODELS / "float.tflite", {name: (1, 32, 32, 3)})


@pytest.mark.parametrize("kept", [0, 6, 64, 1000, -200])
def test_truncated_files(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes((MODELS / "float.tflite").read_bytes()[:kept])
    with pytest.raises(Misuse) as error:
        load_model(path)
    assert error.value.code in ("AT102", "AT106")


def test_an_operator_that_tvm_cannot_convert(tmp_path: Path) -> None:
    import tflite

    content = bytearray((MODELS / "float.tflite").read_bytes())
    model = tflite.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(place) for place in range(model.OperatorCodesLength())]
    softmax = next(each for each in codes if each.BuiltinCode() == tflite.BuiltinOperator.SOFTMAX)
    # Codes below 127 are in the old field of one byte.
    content[softmax._tab.Pos + softmax._tab.Offset(4)] = tflite.BuiltinOperator.SKIP_GRAM
    path = tmp_path / "skip_gram.tflite"
    path.write_bytes(content)
    with pytest.raises(Misuse, match=r"skip_gram\.tflite.*SKIP_GRAM"):
        load_model(path)
