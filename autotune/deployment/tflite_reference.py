"""Reference outputs of a TFLite file: its interpreter, on inputs and weights rounded anew, and with other kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.deployment.rounding import RUNS, is_grid, rounded
from autotune.deployment.tflite_engine import Array, Kernels, open_content
from autotune.models.extras import needing
from search_spaces.errors import AutotuneError, last_line

_QUANTIZED = ("int8", "uint8", "int16")
# Between layers of 8 bits, a rounding now and then becomes a whole step.
_EPSILON_OF_QUANTIZED = 2.0**-12
# Steps by which a quantized output may be off, and how much more than in a run that was rounded otherwise.
_STEPS, _MARGIN = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class TfliteReference:
    """A TFLite file as the reference for numbers."""

    path: Path
    threads: int

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; see `referee.expected`.

        TFLite computes in no other precision: its kernels without XNNPACK, which add in another order, show what
        roundings inside of the model do. A quantized output may be off by a step more than these runs explain.
        seed: of the roundings. Raises AutotuneError where there is no interpreter, or it does not run the file.
        """
        rng = np.random.default_rng(seed)
        try:
            content = self.path.read_bytes()
            run, is_quantized = open_content(content, self.threads)
            epsilon = _EPSILON_OF_QUANTIZED if is_quantized else epsilon_of("float32")
            values, others = run(*inputs), []
            for _ in range(RUNS):
                off, _ = open_content(with_rounded_weights(content, epsilon, rng), self.threads)
                others.append(off(*[_off(one, epsilon, rng) for one in inputs]))
            other = open_content(content, self.threads, Kernels.OTHER)[0](*inputs)
        except AutotuneError:
            raise
        except Exception as error:
            raise AutotuneError(
                f"expected TFLite to run {self.path.name}; found {last_line(error)}", code="AT704"
            ) from error
        runs = zip(values, zip(*others, strict=True), other, strict=True)
        return tuple(_expected(value, off, one, epsilon) for value, off, one in runs)


def with_rounded_weights(content: bytes, epsilon: float, rng: np.random.Generator) -> bytes:
    """The file with each float32 weight off by up to one unit in the last place."""
    tflite: Any = needing("tflite", "tflite", "to read a TFLite file")
    changed = bytearray(content)
    model = tflite.Model.GetRootAsModel(changed, 0)
    graphs = [model.Subgraphs(place) for place in range(model.SubgraphsLength())]
    tensors = [graph.Tensors(place) for graph in graphs for place in range(graph.TensorsLength())]
    floats = {one.Buffer() for one in tensors if one.Type() == tflite.TensorType.FLOAT32}
    for buffer in floats:
        stored = model.Buffers(buffer)
        if stored.DataLength():
            values = stored.DataAsNumpy().view(np.float32)
            if not is_grid(values):
                values[:] = rounded(values, epsilon, rng)
    return bytes(changed)


def _off(values: Array, epsilon: float, rng: np.random.Generator) -> Array:
    """The values as another rounding leaves them: floats off by epsilon, some quantized ones by a step."""
    if str(values.dtype) not in _QUANTIZED:
        return rounded(values, epsilon, rng).astype(values.dtype)
    limits = np.iinfo(values.dtype)
    steps = values.astype(np.int64) + rng.integers(-1, 2, values.shape)
    off: Array = np.clip(steps, limits.min, limits.max).astype(values.dtype)
    return off


def _expected(values: Array, others: Sequence[Array], other: Array, epsilon: float) -> Expected:
    if str(values.dtype) not in _QUANTIZED:
        return expected(values, others, epsilon, other)
    moved = max(float(np.abs(one.astype(np.float64) - values).max(initial=0.0)) for one in (*others, other))
    return Expected(values, np.full(values.shape, _STEPS + _MARGIN * moved))
