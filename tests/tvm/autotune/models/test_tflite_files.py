"""TFLite files compute what TFLite's interpreter computed when they were made."""

from collections.abc import Sequence
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

from written_tflite import Graph, Operator, SparseRows, written_tflite

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


def check(
    graphs: Sequence[Graph], inputs: Sequence[np.ndarray], expected: np.ndarray, folder: Path, target: Target
) -> None:
    """Holds the output of a written file against the expected one."""
    path = folder / "written.tflite"
    path.write_bytes(written_tflite(*graphs))
    found = compile(load_model(path), target, TuningLog.in_memory())(*inputs)
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_axes_of_size_1_are_added(axis: int, tmp_path: Path, target: Target) -> None:
    expected = np.expand_dims(X, axis)
    tensors = {
        "x": (X.shape, "float32"),
        "axis": np.array([axis], np.int32),
        "y": (expected.shape, "float32"),
    }
    graph = Graph(tensors, [Operator("EXPAND_DIMS", ["x", "axis"], ["y"])], ["x"], ["y"])
    check([graph], [X], expected, tmp_path, target)


def test_sizes_that_a_file_computes_are_numbers(tmp_path: Path, target: Target) -> None:
    tensors = {
        "x": (X.shape, "float32"),
        "shape": ((3,), "int32"),
        "sizes": np.array([1, 2], np.int32),
        "axis": np.array([0], np.int32),
        "along": np.array(0, np.int32),
        "first": ((1,), "int32"),
        "rest": ((2,), "int32"),
        "nothing": np.zeros(0, np.int32),
        **dict.fromkeys(("rows", "product"), ((), "int32")),
        "target": ((2,), "int32"),
        # TensorFlow knew neither of the two sizes.
        "flat": ((1, 1), "float32"),
        "y": ((1, 1), "float32"),
    }
    operators = [
        Operator("SHAPE", ["x"], ["shape"], {"OutType": 2}, "ShapeOptions"),
        Operator(
            "SPLIT_V", ["shape", "sizes", "along"], ["first", "rest"], {"NumSplits": 2}, "SplitVOptions"
        ),
        Operator("REDUCE_PROD", ["rest", "axis"], ["product"], {}, "ReducerOptions"),
        Operator("RESHAPE", ["first", "nothing"], ["rows"], {}, "ReshapeOptions"),
        Operator("PACK", ["product", "rows"], ["target"], {"ValuesCount": 2, "Axis": 0}, "PackOptions"),
        Operator("RESHAPE", ["x", "target"], ["flat"], {}, "ReshapeOptions"),
        Operator("NEG", ["flat"], ["y"], {}, "NegOptions"),
    ]
    check([Graph(tensors, operators, ["x"], ["y"])], [X], -X.reshape(12, 2), tmp_path, target)


@pytest.mark.parametrize("threshold", [-1e3, 1e3])
def test_branches_are_subgraphs(threshold: float, tmp_path: Path, target: Target) -> None:
    value = {"x": ((4,), "float32"), "y": ((4,), "float32")}
    limit = np.array([threshold], np.float32)
    main = Graph(
        {
            **value,
            "limit": limit,
            "axis": np.array([0], np.int32),
            "sum": ((1,), "float32"),
            "more": ((1,), "bool"),
        }
        | {"scalar": ((), "bool"), "nothing": np.zeros(0, np.int32)},
        [
            Operator("SUM", ["x", "axis"], ["sum"], {"KeepDims": 1}, "ReducerOptions"),
            Operator("GREATER", ["sum", "limit"], ["more"], {}, "GreaterOptions"),
            Operator("RESHAPE", ["more", "nothing"], ["scalar"], {}, "ReshapeOptions"),
            Operator(
                "IF", ["scalar", "x"], ["y"], {"ThenSubgraphIndex": 1, "ElseSubgraphIndex": 2}, "IfOptions"
            ),
        ],
        ["x"],
        ["y"],
    )
    branches = [Graph(value, [Operator(code, ["x"], ["y"])], ["x"], ["y"]) for code in ("NEG", "EXP")]
    x = RNG.standard_normal(4).astype(np.float32)
    check([main, *branches], [x], -x if x.sum() > threshold else np.exp(x), tmp_path, target)


@pytest.mark.parametrize("size", [12, 13, 64])
def test_spectra_of_rows(size: int, tmp_path: Path, target: Target) -> None:
    half = size // 2 + 1
    x = RNG.standard_normal((3, 1, size)).astype(np.float32)
    tensors = {
        "x": (x.shape, "float32"),
        "length": np.array([1, size], np.int32),
        "spectra": ((3, 1, half), "complex64"),
        "rows": ((3, half), "complex64"),
        "y": ((3, half), "float32"),
    }
    operators = [
        Operator("RFFT2D", ["x", "length"], ["spectra"], {}, "Rfft2dOptions"),
        Operator("SQUEEZE", ["spectra"], ["rows"], {"SqueezeDims": [-2]}, "SqueezeOptions"),
        Operator("CAST", ["rows"], ["y"]),
    ]
    expected = np.fft.rfft(x[:, 0].astype(np.float64)).real.astype(np.float32)
    check([Graph(tensors, operators, ["x"], ["y"])], [x], expected, tmp_path, target)


def test_products_with_a_constant(tmp_path: Path, target: Target) -> None:
    weights = RNG.standard_normal((2, 5, 3)).astype(np.float32)
    tensors = {"w": weights, "x": ((2, 3, 4), "float32"), "y": ((2, 5, 4), "float32")}
    operator = Operator("BATCH_MATMUL", ["w", "x"], ["y"], {}, "BatchMatMulOptions")
    check([Graph(tensors, [operator], ["x"], ["y"])], [X], weights @ X, tmp_path, target)


def test_sparse_weights_are_made_dense(tmp_path: Path, target: Target) -> None:
    weights = RNG.standard_normal((5, 4)).astype(np.float16) * (RNG.random((5, 4)) < 0.4)
    tensors = {
        "x": ((2, 3, 4), "float32"),
        "sparse": SparseRows(weights),
        "dense": ((5, 4), "float16"),
        "w": ((5, 4), "float32"),
        "y": ((2, 3, 5), "float32"),
    }
    operators = [
        Operator("DENSIFY", ["sparse"], ["dense"]),
        Operator("DEQUANTIZE", ["dense"], ["w"]),
        Operator("FULLY_CONNECTED", ["x", "w"], ["y"], {"KeepNumDims": 1}, "FullyConnectedOptions"),
    ]
    graph = Graph(tensors, operators, ["x"], ["y"])
    check([graph], [X], X @ weights.T.astype(np.float32), tmp_path, target)
