"""Reference outputs of a TFLite file: TFLite's interpreter, on inputs rounded anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.deployment.rounding import RUNS, rounded
from autotune.deployment.tflite_engine import Array, TfliteInterpreter
from search_spaces.errors import AutotuneError, last_line

_QUANTIZED = ("int8", "uint8", "int16")
# Between layers of 8 bits, a rounding now and then becomes a whole step.
_EPSILON_OF_QUANTIZED = 2.0**-12
# Steps by which a quantized output may be off, and how much more than in a run on inputs of another rounding.
_STEPS, _MARGIN = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class TfliteReference:
    """A TFLite file as the reference for numbers; its weights cannot be rounded anew."""

    path: Path
    threads: int

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; see `referee.expected`.

        A quantized output may be off by a step more than rounding of the inputs explains.
        seed: of the roundings. Raises AutotuneError where there is no interpreter, or it does not run the file.
        """
        rng = np.random.default_rng(seed)
        try:
            run, is_quantized = TfliteInterpreter(self.path, self.threads).open_with_details()
            epsilon = _EPSILON_OF_QUANTIZED if is_quantized else epsilon_of("float32")
            values = run(*inputs)
            others = [run(*[_off(one, epsilon, rng) for one in inputs]) for _ in range(RUNS)]
        except AutotuneError:
            raise
        except Exception as error:
            raise AutotuneError(
                f"expected TFLite to run {self.path.name}; found {last_line(error)}", code="AT704"
            ) from error
        by_output = zip(*others, strict=True)
        return tuple(_expected(value, other, epsilon) for value, other in zip(values, by_output, strict=True))


def _off(values: Array, epsilon: float, rng: np.random.Generator) -> Array:
    """The values as another rounding leaves them: floats off by epsilon, some quantized ones by a step."""
    if str(values.dtype) not in _QUANTIZED:
        return rounded(values, epsilon, rng).astype(values.dtype)
    limits = np.iinfo(values.dtype)
    steps = values.astype(np.int64) + rng.integers(-1, 2, values.shape)
    off: Array = np.clip(steps, limits.min, limits.max).astype(values.dtype)
    return off


def _expected(values: Array, others: Sequence[Array], epsilon: float) -> Expected:
    if str(values.dtype) not in _QUANTIZED:
        return expected(values, others, epsilon)
    moved = max(float(np.abs(one.astype(np.float64) - values).max(initial=0.0)) for one in others)
    return Expected(values, np.full(values.shape, _STEPS + _MARGIN * moved))
