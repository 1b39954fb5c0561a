"""Reference outputs of an ONNX file: ONNX Runtime without graph optimizations, on inputs and weights rounded anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.deployment.rounding import RUNS, is_grid, rounded
from autotune.models import onnx_file
from autotune.models.onnx_file import Shape
from autotune.models.onnx_passes.wide_floats import narrow_dtype, with_wide_floats
from search_spaces.errors import AutotuneError, last_line

Array = npt.NDArray[Any]

# Constants of these are thresholds, sizes and exponents, whose last bit decides about shapes or signs.
_EXACT = frozenset({
    "Clip", "CumSum", "DequantizeLinear", "NonMaxSuppression", "OneHot", "Pad", "Pow", "QuantizeLinear", "Range",
    "Resize", "RoiAlign", "Upsample",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class OnnxReference:
    """An ONNX file with fixed shapes as the reference for numbers; half floats are computed in float32."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; see `referee.expected`.

        seed: of the roundings. Raises AutotuneError where ONNX Runtime does not run the file.
        """
        model = onnx_file.read(self.path, dict(self.shapes))
        narrow = narrow_dtype(model)
        dtypes = [dtype_of(value) for value in model.graph.output]
        epsilon = epsilon_of(narrow or ("float64" if "float64" in dtypes else "float32"))
        wide = with_wide_floats(model)
        rng = np.random.default_rng(seed)
        values = self._run(wide, inputs)
        perturbed = []
        for _ in range(RUNS):
            off = with_rounded_weights(wide, epsilon, rng)
            try:
                perturbed.append(self._run(off, [rounded(one, epsilon, rng) for one in inputs]))
            except AutotuneError:
                # A rounded constant was a size after all: this run says nothing.
                continue
        others = list(zip(*perturbed, strict=True)) or [()] * len(values)
        found = []
        for value, dtype, other in zip(values, dtypes, others, strict=True):
            right = value.astype(np.dtype(dtype)) if dtype else value
            found.append(expected(right, other, epsilon))
        return tuple(found)

    def _run(self, model: onnx.ModelProto, inputs: Sequence[Array]) -> list[Array]:
        try:
            with session_of(model, self.threads, Optimizations.NONE) as session:
                given = session.get_inputs()
                wide = [as_fed(value.type, array) for value, array in zip(given, inputs, strict=True)]
                names = [value.name for value in given]
                return [np.asarray(one) for one in session.run(None, dict(zip(names, wide, strict=True)))]
        except Exception as error:
            # ONNX Runtime's exceptions have no common base class of their own.
            raise AutotuneError(
                f"expected ONNX Runtime to run {self.path.name}; found {last_line(error)}", code="AT704"
            ) from error


def as_fed(onnx_type: str, array: Array) -> Array:
    """The array as the widened model takes it."""
    return array.astype(np.float32) if onnx_type == "tensor(float)" else array


def dtype_of(value: onnx.ValueInfoProto) -> str:
    """The element type of an output in NumPy's words; empty where the file does not say."""
    kind = value.type.tensor_type.elem_type
    return onnx.helper.tensor_dtype_to_np_dtype(kind).name if kind else ""


def with_rounded_weights(model: onnx.ModelProto, epsilon: float, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with each weight off by up to one unit in the last place."""
    off = onnx.ModelProto()
    off.CopyFrom(model)
    exact = {name for node in onnx_file.nodes(model.graph) if node.op_type in _EXACT for name in node.input}
    for name, tensor in _constants(off.graph):
        if name in exact or tensor.data_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            continue
        values = numpy_helper.to_array(tensor)
        if not is_grid(values):
            tensor.CopyFrom(numpy_helper.from_array(rounded(values, epsilon, rng), tensor.name))
    return off


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The weights of the main graph, and the tensors of its constant nodes, with their names."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
