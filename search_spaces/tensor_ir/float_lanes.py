"""Float32 values of one vector or scalar, as expressions of TVM (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from tvm import tirx

#: Between the name of a type and its number of lanes.
LANES = "x"
_INFINITY_BITS = 0x7F800000
_numbers = count()


def by_registers(lanes: int, width: int, apply: Callable[..., Any], *vectors: Any) -> Any:
    """A function of vectors of so many lanes, applied to each part of them that is as wide as a register."""
    if lanes == width:
        return apply(*vectors)
    places = [list(range(start, start + width)) for start in range(0, lanes, width)]
    found = [apply(*(tirx.Shuffle([one], place) for one in vectors)) for place in places]
    return tirx.Shuffle(found, list(range(lanes)))


@dataclass(frozen=True)
class Float32Lanes:
    """The type of the values of one operation, and constants of it; lanes: 1 for a scalar."""

    lanes: int

    @property
    def name(self) -> str:
        """TVM's name of the type."""
        return self._typed("float32")

    def value(self, number: float) -> Any:
        """A float32 constant in every lane."""
        return self._spread(tirx.const(number, "float32"))

    def integer(self, number: int) -> Any:
        """An int32 constant in every lane."""
        return self._spread(tirx.const(number, "int32"))

    def double(self, number: float) -> Any:
        """A float64 constant in every lane."""
        return self._spread(tirx.const(number, "float64"))

    def as_double(self, value: Any) -> Any:
        """The values as float64."""
        return tirx.Cast(self._typed("float64"), value)

    def long_bits(self, value: Any) -> Any:
        """The bit pattern of float64 values as int64."""
        return tirx.reinterpret(self._typed("int64"), value)

    def as_integer(self, value: Any) -> Any:
        """Whole floats, or the last bits of int64, as int32."""
        return tirx.Cast(self._typed("int32"), value)

    def as_float(self, value: Any) -> Any:
        """The int32 values as float32."""
        return tirx.Cast(self.name, value)

    def bits(self, value: Any) -> Any:
        """The bit pattern as int32."""
        return tirx.reinterpret(self._typed("int32"), value)

    def from_bits(self, value: Any) -> Any:
        """The float32 of a bit pattern."""
        return tirx.reinterpret(self.name, value)

    def is_nan(self, value: Any) -> Any:
        """A mask of NaN by its bits: TVM folds the comparison of a float with itself."""
        magnitude = self.bits(value) & self.integer(0x7FFFFFFF)
        return magnitude > self.integer(_INFINITY_BITS)

    def at_most(self, limit: float, value: Any) -> Any:
        """The smaller one; NaN for NaN, unlike `tirx.min`."""
        return tirx.Select(value > self.value(limit), self.value(limit), value)

    def with_sign_of(self, value: Any, magnitude: Any) -> Any:
        """A positive magnitude with the sign of a value."""
        return self.from_bits(self.bits(magnitude) | (self.bits(value) & self.integer(-(1 << 31))))

    def let(self, value: Any, body: Callable[[Any], Any], dtype: str = "") -> Any:
        """The body with a variable for the value, which is computed once."""
        variable = tirx.Var(f"m{next(_numbers)}", self._typed(dtype) if dtype else self.name)
        return tirx.Let(variable, value, body(variable))

    def horner(self, coefficients: Sequence[float], at: Any) -> Any:
        """The polynomial with these coefficients, the highest power's first."""
        result = self.value(coefficients[0])
        for one in coefficients[1:]:
            result = result * at + self.value(one)
        return result

    def _typed(self, base: str) -> str:
        return base if self.lanes == 1 else f"{base}{LANES}{self.lanes}"

    def _spread(self, constant: Any) -> Any:
        return constant if self.lanes == 1 else tirx.Broadcast(constant, self.lanes)
