"""One case of the ONNX backend suite in a worker process: imported, built untuned, run, compared."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from autotune.deployment.compilation import compile
from autotune.devices.device import local_device
from autotune.models.model import load_model
from search_spaces.errors import AutotuneError
from tuning_logs.file.log import TuningLog

_NARROW = {
    getattr(TensorProto, name)
    for name in dir(TensorProto)
    if name.startswith(("FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2", "COMPLEX"))
}
# Inputs of floats that shapes depend on, as exporters write them: as constants.
_FLOAT_ARGUMENTS = ("scales", "roi", "iou_threshold", "score_threshold")
# Two units in the last place: the suite rounds between the parts of an operator, a fused kernel does not.
_HALF_FLOATS = {"float16": 2**-9, "bfloat16": 2**-6}
_TRAINING = ("ai.onnx.preview.training", "ai.onnx.training")


@dataclass(frozen=True)
class Result:
    """The end of a case, and why."""

    status: str
    reason: str = ""


def examine(path: Path, data: Path, rtol: float, atol: float) -> Result:
    """Runs all data sets of a case; the first that does not pass is its result."""
    model = onnx.load(path)
    sets = [tuple([_array(one) for one in side] for side in both) for both in pickle.loads(data.read_bytes())]
    reason = out_of_scope(model, sets)
    if reason:
        return Result("out of scope", reason)
    for inputs, outputs in sets:
        result = _examine(model, inputs, outputs, rtol, atol)
        if result.status != "passed":
            return result
    return Result("passed") if sets else Result("out of scope", "no data")


def _array(value: Any) -> np.ndarray | None:
    """A value of the suite's data as an array; None for a sequence or an optional."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return None if value is None or isinstance(value, list | tuple | dict) else np.asarray(value)


def out_of_scope(model: onnx.ModelProto, sets: list[Any]) -> str:
    """The reason why a case is out of scope for a compiler of dense tensors; empty for one that is not."""
    domains = {node.domain for node in model.graph.node}
    if domains & set(_TRAINING):
        return "a training operator"
    for value in (*model.graph.input, *model.graph.output):
        which = value.type.WhichOneof("value")
        if which != "tensor_type":
            return f"a {(which or 'untyped value').removesuffix('_type')} as input or output"
        if value.type.tensor_type.elem_type == TensorProto.STRING:
            return "strings"
        if value.type.tensor_type.elem_type in _NARROW:
            return "a dtype below a byte, float8 or complex"
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "output_dtype") and attribute.i in _NARROW | {
                TensorProto.STRING
            }:
                return "a dtype below a byte, float8 or complex"
    if any(array is None for inputs, outputs in sets for array in (*inputs, *outputs)):
        return "data that is no tensor"
    return ""


def _examine(
    model: onnx.ModelProto, inputs: list[Any], outputs: list[Any], rtol: float, atol: float
) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        fixed, fed = _with_constants(model, inputs)
        path = Path(folder) / "case.onnx"
        path.write_bytes(fixed.SerializeToString())
        shapes = {
            value.name: tuple(array.shape)
            for value, array in zip(_fed(fixed), fed, strict=True)
            if not _is_static(value)
        }
        try:
            loaded = load_model(path, shapes)
            built = compile(loaded, local_device().target, TuningLog.in_memory())
            found = built(*fed)
        except AutotuneError as error:
            return Result("unsupported", str(error)[:400])
        except Exception as error:  # noqa: BLE001 - that there is such an end is what is counted
            return Result("failed", f"{type(error).__name__}: {str(error).strip()[-300:]}")
    found = found if isinstance(found, tuple) else (found,)
    result = _compared(found, outputs, rtol, atol)
    if result.status == "wrong" and _is_that_of_onnx_runtime(fixed, fed, found, (rtol, atol)):
        return Result("disputed", f"{result.reason}; ONNX Runtime computes the same as the build")
    return result


def _is_that_of_onnx_runtime(
    model: onnx.ModelProto, inputs: list[Any], found: tuple[Any, ...], tolerances: tuple[float, float]
) -> bool:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        fed = {value.name: array for value, array in zip(session.get_inputs(), inputs, strict=True)}
        outputs = [np.asarray(output) for output in session.run(None, fed)]
    except Exception:  # noqa: BLE001 - it cannot run all cases
        return False
    return _compared(found, outputs, *tolerances).status == "passed"


def _with_constants(model: onnx.ModelProto, inputs: list[Any]) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """The model with integer inputs as constants where its output shapes depend on them, and what is left to feed."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    values = _fed(model)[: len(inputs)]
    if _has_static_outputs(model, values, inputs):
        return model, inputs
    kept_values, kept = [], []
    for value, array in zip(values, inputs, strict=True):
        is_size = array.dtype.kind in "iu" or (array.dtype.kind == "f" and value.name in _FLOAT_ARGUMENTS)
        if is_size and array.ndim <= 1 and len(inputs) > 1:
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        else:
            kept_values.append(value)
            kept.append(array)
    kept_values = [onnx.ValueInfoProto.FromString(one.SerializeToString()) for one in kept_values]
    del model.graph.input[:]
    model.graph.input.extend(kept_values)
    model.ir_version = max(model.ir_version, 4)
    return model, kept


def _has_static_outputs(model: onnx.ModelProto, values: list[Any], inputs: list[Any]) -> bool:
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    for value, array in zip(_fed(probe), inputs, strict=False):
        del value.type.tensor_type.shape.dim[:]
        for size in array.shape:
            value.type.tensor_type.shape.dim.add().dim_value = size
    for value in probe.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(probe, data_prop=True)
    except Exception:  # noqa: BLE001 - then the shapes are not known
        return False
    return all(_is_static(value) for value in inferred.graph.output)


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)


def _fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _unit(dtype: np.dtype) -> float:
    """The distance of 1 to the next number; 0 for integers."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def _compared(found: tuple[Any, ...], expected: list[Any], rtol: float, atol: float) -> Result:
    if len(found) != len(expected):
        return Result("wrong", f"{len(found)} outputs in place of {len(expected)}")
    for place, (mine, right) in enumerate(zip(found, expected, strict=True)):
        right = np.asarray(right)
        if mine.shape != right.shape or mine.dtype != right.dtype:
            return Result(
                "wrong", f"output {place}: {mine.dtype} {mine.shape} in place of {right.dtype} {right.shape}"
            )
        left = mine.astype(np.float64) if mine.dtype.kind not in "c" else mine
        relative = max(rtol, _HALF_FLOATS.get(mine.dtype.name, 0.0))
        # Sums cancel to values near zero: the suite's own are off by a unit in the last place of the largest.
        absolute = max(atol, _unit(mine.dtype) * np.abs(right[np.isfinite(right)]).max(initial=0))
        if not np.allclose(left, right.astype(np.float64), rtol=relative, atol=absolute, equal_nan=True):
            error = np.nanmax(np.abs(left - right.astype(np.float64)))
            return Result("wrong", f"output {place}: off by up to {error:.3g}")
    return Result("passed")
