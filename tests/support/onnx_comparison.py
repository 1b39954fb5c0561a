"""Comparison of a rewritten model with ONNX Runtime on the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.models.model import Model
from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from autotune.models.onnx_passes.unsigned_weights import with_unsigned_weights


def single_node(
    operator: str,
    inputs: list[Any],
    constants: dict[int, Any] | None = None,
    outputs: int | list[str] = 1,
    opset: int = 22,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node. inputs: arrays, None for one that is left out; constants: the places that are fixed."""
    names = ["" if array is None else f"x{place}" for place, array in enumerate(inputs)]
    named = outputs if isinstance(outputs, list) else [f"y{place}" for place in range(outputs)]
    fixed = set(constants or ())
    node = helper.make_node(operator, names, named, name="node", domain=domain, **attributes)
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for place, (name, array) in enumerate(zip(names, inputs, strict=True))
        if array is not None and place not in fixed
    ]
    initializers = [
        numpy_helper.from_array(inputs[place], names[place]) for place in fixed if inputs[place] is not None
    ]
    graph = helper.make_graph(
        [node],
        "g",
        values,
        [helper.make_empty_tensor_value_info(name) for name in named if name],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    # ONNX Runtime wants the types of outputs; ONNX does not infer those of its own operators.
    return model if domain else onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of ONNX Runtime without optimizations, with exact products of quantized operators."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(
        with_unsigned_weights(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def check(model: onnx.ModelProto, arrays: list[np.ndarray], tolerance: float = 1e-5) -> onnx.ModelProto:
    """Holds the rewritten model against the original; returns it."""
    rewritten = with_canonical_operators(model)
    onnx.checker.check_model(rewritten)
    compare(run(rewritten, arrays), run(model, arrays), tolerance)
    return rewritten


def compare(found: list[np.ndarray], right: list[np.ndarray], tolerance: float) -> None:
    """Holds outputs against the right ones: dtype, shape, and values relative to the largest."""
    assert len(found) == len(right)
    for mine, theirs in zip(found, right, strict=True):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        left, truth = mine.astype(np.float64), theirs.astype(np.float64)
        finite = np.abs(truth[np.isfinite(truth)])
        scale = max(1.0, float(finite.max(initial=0)))
        np.testing.assert_allclose(left, truth, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def onnx_runtime_outputs(model: Model, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The outputs of ONNX Runtime, as it runs by default on one thread, for a model's file."""
    return OnnxRuntime(model.path, tuple(model.shapes.items()), 1).open()(*inputs)
