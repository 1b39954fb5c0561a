"""Inputs as constants: what the new model computes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from autotune.models.frozen_inputs import freeze
from autotune.models.model import load_model
from search_spaces.errors import Misuse

_GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
detector (float[2,N] x, int64 rate, bool[1] is_loud, int64[2] sizes) => (float[A,B] y) {
    limit = Constant<value=int64{16000}>()
    is_wide = Equal(rate, limit)
    chosen = If(is_wide) <
        then_branch = wide () => (float[C,D] w) { two = Constant<value=float{2}>() w = Mul(x, two) },
        else_branch = narrow () => (float[E,F] n) { n = Concat<axis=0>(x, x) }
    >
    shaped = Reshape(chosen, sizes)
    loud = Neg(shaped)
    y = Where(is_loud, loud, shaped)
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "detector.onnx"
    parsed = onnx.parser.parse_model(_GRAPH)
    onnx.save(parsed, path)
    return path


def test_a_model_with_constants_computes_what_it_did(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "frozen.onnx"

    freeze(model, {"rate": [16000], "is_loud": [True], "sizes": [3, -1]}, output)

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"x": x})
    assert [each.name for each in session.get_inputs()] == ["x"]
    np.testing.assert_array_equal(y, (-2 * x).reshape(3, 2))


def test_what_an_input_decides_is_refused_with_the_command_that_fixes_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"autotune freeze MODEL --input rate=VALUE --output FIXED.onnx"):
        load_model(model, {"x": (2, 3)})
    freeze(model, {"rate": [16000]}, tmp_path / "one.onnx")
    with pytest.raises(Misuse, match=r"autotune freeze MODEL --input sizes=VALUE --output FIXED.onnx"):
        load_model(tmp_path / "one.onnx", {"x": (2, 3)})
    freeze(tmp_path / "one.onnx", {"sizes": [3, -1]}, tmp_path / "both.onnx")

    assert load_model(tmp_path / "both.onnx", {"x": (2, 3)}).inputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speed": [1]}, r"expected the name of an input of detector.onnx \(x, rate.*found 'speed'"),
        ({"rate": [1.5]}, r"expected values of the type int64 for input 'rate'; found \[1.5\]"),
        ({"rate": [2**70]}, "expected values of the type int64 for input 'rate'"),
        ({"is_loud": [3]}, "expected values of the type bool for input 'is_loud'"),
        ({"sizes": [1, 2, 3]}, "expected one value, or one for each element, for input 'sizes'"),
        ({"x": [1]}, "expected one value, or one for each element, for input 'x'"),
        (
            {"rate": [1], "is_loud": [1], "sizes": [1], "x": [1, 2]},
            "expected one value, or one for each element, for input 'x'",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(
    values: dict[str, list[float]], message: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(Misuse, match=message):
        freeze(model, values, tmp_path / "frozen.onnx")
    assert not (tmp_path / "frozen.onnx").exists()


def test_an_input_stays(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "relu.onnx")

    with pytest.raises(Misuse, match=r"expected an input that stays; relu\.onnx has no other than x"):
        freeze(tmp_path / "relu.onnx", {"x": [1]}, tmp_path / "frozen.onnx")
