"""TFLite files compute what TFLite's interpreter computed when they were made."""

from pathlib import Path

import numpy as np
import pytest
from repository import GOLDEN

from autotune.deployment.compilation import compile
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
