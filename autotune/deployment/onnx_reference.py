"""Reference outputs of an ONNX file: ONNX Runtime without graph optimizations, on inputs and weights rounded anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.deployment.other_precision import open_other
from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.deployment.rounding import RUNS, is_grid, rounded
from autotune.models import onnx_file
from autotune.models.onnx_file import Shape
from autotune.models.onnx_passes.exact_sigmoids import with_exact_sigmoids
from autotune.models.onnx_passes.unsigned_weights import with_unsigned_weights
from autotune.models.onnx_passes.wide_floats import narrow_dtype, with_wide_floats
from search_spaces.errors import AutotuneError, last_line

Array = npt.NDArray[Any]

# Of the roundings of weights.
_SEED = 0
# Constants of these are thresholds, sizes and exponents, whose last bit decides about shapes or signs.
_EXACT = frozenset({
    "Clip", "CumSum", "DequantizeLinear", "NonMaxSuppression", "OneHot", "Pad", "Pow", "QuantizeLinear", "Range",
    "Resize", "RoiAlign", "Upsample",
})  # fmt: skip

_FED = {"tensor(float)": np.float32, "tensor(double)": np.float64}


@dataclass(frozen=True, slots=True)
class OnnxReference:
    """An ONNX file with fixed shapes as the reference for numbers; half floats are computed in float32."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; see `referee.expected`.

        seed: of the roundings of the inputs. Raises AutotuneError where ONNX Runtime does not run the file.
        """
        return _opened(self).expected(inputs, seed)


class OnnxSessions:
    """A model in sessions of ONNX Runtime: as it is, and with its weights rounded otherwise; opened once.

    name: of the file, for errors; seed: of the roundings of the weights.
    Raises AutotuneError where ONNX Runtime does not take the model, as do its methods where it does not run it.
    """

    def __init__(self, name: str, model: onnx.ModelProto, threads: int, seed: int) -> None:
        self._name, self._stack = name, ExitStack()
        self._dtypes = [_dtype(value) for value in model.graph.output]
        narrow = narrow_dtype(model)
        self._epsilon = epsilon_of(narrow or ("float64" if "float64" in self._dtypes else "float32"))
        wide = with_unsigned_weights(with_exact_sigmoids(with_wide_floats(model)))
        self._other = open_other(model, wide, threads, self._stack)
        rng = np.random.default_rng(seed)
        self._exact = self._open(wide, threads)
        self._rounded = [
            self._open(_with_rounded_weights(wide, self._epsilon, rng), threads) for _ in range(RUNS)
        ]

    def close(self) -> None:
        """Closes the sessions."""
        self._stack.close()

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs with bounds on the errors of a build; see `referee.expected`.

        seed: of the roundings of the inputs.
        """
        rng = np.random.default_rng(seed)
        values, perturbed = self.run(inputs), []
        for session in self._rounded:
            try:
                perturbed.append(self._run(session, [rounded(one, self._epsilon, rng) for one in inputs]))
            except AutotuneError:
                # A rounded constant was a size after all: this run says nothing.
                continue
        rounded_runs = list(zip(*perturbed, strict=True)) or [()] * len(values)
        runs = zip(values, rounded_runs, self._in_other_precision(inputs, len(values)), strict=True)
        return tuple(expected(value, off, self._epsilon, other) for value, off, other in runs)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs alone."""
        found = self._run(self._exact, inputs)
        return [
            value.astype(np.dtype(dtype)) if dtype else value
            for value, dtype in zip(found, self._dtypes, strict=True)
        ]

    def _in_other_precision(self, inputs: Sequence[Array], outputs: int) -> Sequence[Array | None]:
        """The outputs of the run in the other precision; None for each where it says nothing."""
        if self._other is None:
            return [None] * outputs
        try:
            return self._run(self._other, inputs)
        except AutotuneError:
            # A size that is computed from floats, or an operator that takes no such type after all.
            return [None] * outputs

    def _open(self, model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
        try:
            return self._stack.enter_context(session_of(model, threads, Optimizations.NONE))
        except Exception as error:
            # ONNX Runtime's exceptions have no common base class of their own.
            raise self._failed(error) from error

    def _run(self, session: onnxruntime.InferenceSession, inputs: Sequence[Array]) -> list[Array]:
        given = session.get_inputs()
        fed = {one.name: _as_fed(one.type, array) for one, array in zip(given, inputs, strict=True)}
        try:
            return [np.asarray(one) for one in session.run(None, fed)]
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> AutotuneError:
        return AutotuneError(
            f"expected ONNX Runtime to run {self._name}; found {last_line(error)}", code="AT704"
        )


@cache
def _opened(reference: OnnxReference) -> OnnxSessions:
    """The sessions of a reference, for the life of the process."""
    model = onnx_file.read(reference.path, dict(reference.shapes))
    return OnnxSessions(reference.path.name, model, reference.threads, _SEED)


def _as_fed(onnx_type: str, array: Array) -> Array:
    """The array as a model of another precision takes it."""
    dtype = _FED.get(onnx_type)
    return array if dtype is None else array.astype(dtype)


def _dtype(value: onnx.ValueInfoProto) -> str:
    """The element type of an output in NumPy's words; empty where the file does not say."""
    kind = value.type.tensor_type.elem_type
    return onnx.helper.tensor_dtype_to_np_dtype(kind).name if kind else ""


def _with_rounded_weights(
    model: onnx.ModelProto, epsilon: float, rng: np.random.Generator
) -> onnx.ModelProto:
    """The model with each weight off by up to one unit in the last place."""
    off = onnx.ModelProto()
    off.CopyFrom(model)
    exact = _exact_constants(model)
    for name, tensor in _constants(off.graph):
        if name in exact or tensor.data_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            continue
        values = numpy_helper.to_array(tensor)
        if not is_grid(values):
            tensor.CopyFrom(numpy_helper.from_array(rounded(values, epsilon, rng), tensor.name))
    return off


def _exact_constants(model: onnx.ModelProto) -> set[str]:
    """The constants that are not to be rounded.

    The scales of quantized weights are: products of integers are as exact as they are, and off by a rounding each.
    """
    weights = {name for name, _ in _constants(model.graph)}
    scales = {
        node.input[1]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    }
    nodes = [node for node in onnx_file.nodes(model.graph) if node.op_type in _EXACT]
    return {name for node in nodes for name in node.input} - scales


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The weights of the main graph, and the tensors of its constant nodes, with their names."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
