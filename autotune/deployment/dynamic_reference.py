"""Reference outputs of an ONNX file at any size of its dynamic axes: ONNX Runtime without graph optimizations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from autotune.deployment.engine import draw
from autotune.deployment.onnx_reference import OnnxSessions
from autotune.deployment.referee import Expected
from autotune.models.dynamic_axes import read_with_free_axes
from autotune.models.dynamic_inputs import DynamicInputs, Sizes

Array = npt.NDArray[Any]


class DynamicReference:
    """An ONNX file in sessions that take every size, opened once; half floats are computed in float32.

    Raises AutotuneError where ONNX Runtime does not take the file, as do its methods where it does not run it.
    """

    def __init__(self, path: Path, inputs: DynamicInputs, threads: int, seed: int) -> None:
        self._inputs = inputs
        self._sessions = OnnxSessions(path.name, read_with_free_axes(path, inputs), threads, seed)

    def __enter__(self) -> Self:
        """The reference itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the sessions."""
        self._sessions.close()

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
        return self._sessions.expected(arrays, seed)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs alone."""
        return self._sessions.run(arrays)
