"""Reference outputs of an ONNX file at any size of its dynamic axes: ONNX Runtime without graph optimizations."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from autotune.deployment.engine import draw
from autotune.deployment.onnx_reference import as_fed, dtype_of, rounded_floats, with_rounded_weights
from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.models.dynamic_axes import DynamicInputs, Sizes, read_with_free_axes
from autotune.models.onnx_passes.wide_floats import narrow_dtype, with_wide_floats
from search_spaces.errors import AutotuneError, last_line

Array = npt.NDArray[Any]

# Runs with other roundings, see `OnnxReference`.
_RUNS = 2


class DynamicReference:
    """An ONNX file in sessions that take every size, opened once; half floats are computed in float32.

    Raises AutotuneError where ONNX Runtime does not take the file, as do its methods where it does not run it.
    """

    def __init__(self, path: Path, inputs: DynamicInputs, threads: int, seed: int) -> None:
        self._name, self._inputs, self._stack = path.name, inputs, ExitStack()
        model = read_with_free_axes(path, inputs)
        self._dtypes = [dtype_of(value) for value in model.graph.output]
        narrow = narrow_dtype(model)
        self._epsilon = epsilon_of(narrow or ("float64" if "float64" in self._dtypes else "float32"))
        wide = with_wide_floats(model)
        rng = np.random.default_rng(seed)
        self._exact = self._open(wide, threads)
        self._rounded = [
            self._open(with_rounded_weights(wide, self._epsilon, rng), threads) for _ in range(_RUNS)
        ]

    def __enter__(self) -> Self:
        """The reference itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the sessions."""
        self._stack.close()

    def draw(self, sizes: Sizes, seed: int) -> list[Array]:
        """Inputs of these sizes to run the model on; integers are not 0 where an axis begins, as in a mask."""
        arrays = draw(self._inputs.at(sizes), seed)
        for axis in self._inputs.axes:
            for number, dim in axis.places:
                if arrays[number].dtype.kind in "iub":
                    np.moveaxis(arrays[number], dim, 0)[0] = 1
        return arrays

    def expected(self, arrays: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs with bounds on the errors of a build; see `referee.expected`. seed: of the roundings."""
        rng = np.random.default_rng(seed)
        values = self.run(arrays)
        perturbed = [
            self._run(session, [rounded_floats(one, self._epsilon, rng) for one in arrays])
            for session in self._rounded
        ]
        return tuple(
            expected(value, other, self._epsilon)
            for value, other in zip(values, zip(*perturbed, strict=True), strict=True)
        )

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs alone."""
        found = self._run(self._exact, arrays)
        return [
            value.astype(np.dtype(dtype)) if dtype else value
            for value, dtype in zip(found, self._dtypes, strict=True)
        ]

    def _open(self, model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
        try:
            return self._stack.enter_context(session_of(model, threads, Optimizations.NONE))
        except Exception as error:
            # ONNX Runtime's exceptions have no common base class of their own.
            raise self._failed(error) from error

    def _run(self, session: onnxruntime.InferenceSession, arrays: Sequence[Array]) -> list[Array]:
        given = session.get_inputs()
        fed = {one.name: as_fed(one.type, array) for one, array in zip(given, arrays, strict=True)}
        try:
            return [np.asarray(one) for one in session.run(None, fed)]
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> AutotuneError:
        return AutotuneError(
            f"expected ONNX Runtime to run {self._name}; found {last_line(error)}", code="AT704"
        )
