"""Vector code for exp, log, tanh, erf, sigmoid and their kin on CPU targets (imports TVM).

TVM lowers them to scalar calls of the C library, one for each element of a vector. The rules here replace that at
the end of lowering, in every tensor program that this process compiles: workloads and records stay what they are.
Within 4 units in the last place of float32 everywhere, NaN and infinities as in C; half floats are computed in
float32. Polynomials: exp, log after Cephes (Moshier); tanh, erf: minimax rational functions, fitted by
`scripts/fit_vector_math.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import tvm
from tvm import tirx

#: Of the code that the rules make: times of other versions are not comparable.
VECTOR_MATH_VERSION = "2"
# Of the rules; higher than TVM's own.
_LEVEL = 100
_LANES = "x"
_numbers = count()
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
# Beyond these the result is 0 and infinity.
_EXP_LEAST, _EXP_MOST = -104.0, 89.0
_EXP2_LEAST, _EXP2_MOST = -150.0, 129.0
_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
# The bit patterns of √½ and infinity.
_SQRT_HALF_BITS, _INFINITY_BITS = 0x3F3504F3, 0x7F800000
_SMALLEST_NORMAL, _TO_NORMAL = 1.17549435e-38, 23
_TANH_SMALL = 0.625
_TANH = (-0.0057049882511, 0.020639088461, -0.0537397155, 0.13331442204, -0.33333281942)
# Beyond the last the result is 1.
_ERF_BETWEEN, _ERF_MOST = 0.921875, 3.95
_ERF_SMALL = (
    -0.00059908803606,
    0.0049931864613,
    -0.026766621512,
    0.11281816363,
    -0.37612493717,
    0.12837914957,
)
_ERF_LARGE = (
    -0.0001947343253,
    0.0030315991093,
    -0.022181392464,
    0.10383889457,
    0.63728577081,
    1.127615451,
    0.00020991562229,
)


@dataclass(frozen=True)
class _Float32:
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

    def as_integer(self, value: Any) -> Any:
        """Whole floats as int32."""
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
        return base if self.lanes == 1 else f"{base}{_LANES}{self.lanes}"

    def _spread(self, constant: Any) -> Any:
        return constant if self.lanes == 1 else tirx.Broadcast(constant, self.lanes)


def _exp(x: Any, kind: _Float32) -> Any:
    """2^n · e^r with |r| ≤ ln 2 / 2."""

    def of_parts(bounded: Any) -> Any:
        return kind.let(
            tirx.nearbyint(bounded * kind.value(_LOG2_E)),
            lambda n: _scaled_exp(bounded - n * kind.value(_LN2_HIGH) - n * kind.value(_LN2_LOW), n, kind),
        )

    return _bounded(x, (_EXP_LEAST, _EXP_MOST), kind, of_parts)


def _exp2(x: Any, kind: _Float32) -> Any:
    """2^n · e^r with r = (x - n) · ln 2."""

    def of_parts(bounded: Any) -> Any:
        return kind.let(
            tirx.nearbyint(bounded),
            lambda n: _scaled_exp((bounded - n) * kind.value(math.log(2)), n, kind),
        )

    return _bounded(x, (_EXP2_LEAST, _EXP2_MOST), kind, of_parts)


def _bounded(x: Any, limits: tuple[float, float], kind: _Float32, power: Callable[[Any], Any]) -> Any:
    """A power of x, 0 below the lower limit: masked scores are far below, and underflow takes a hundred cycles."""
    is_zero = x < kind.value(limits[0])
    bounded = tirx.min(tirx.Select(is_zero, kind.value(0.0), x), kind.value(limits[1]))
    found = tirx.Select(is_zero, kind.value(0.0), kind.let(bounded, power))
    return tirx.Select(kind.is_nan(x), x, found)


def _scaled_exp(r: Any, n: Any, kind: _Float32) -> Any:
    """e^r · 2^n; the scaling in two steps reaches infinity and subnormal numbers."""

    def power(exponent: Any) -> Any:
        return kind.from_bits((exponent + kind.integer(127)) << kind.integer(23))

    def scaled(value: Any, whole: Any) -> Any:
        half = whole >> kind.integer(1)
        return kind.let(half, lambda first: value * power(first) * power(whole - first), "int32")

    return kind.let(
        r,
        lambda part: kind.let(
            kind.as_integer(n),
            lambda whole: scaled(kind.horner(_EXP, part) * part * part + part + kind.value(1.0), whole),
            "int32",
        ),
    )


def _log(x: Any, kind: _Float32) -> Any:
    """n · ln 2 + log(m) with m in [√½, √2)."""

    def of_parts(m: Any, n: Any) -> Any:
        return kind.let(
            m - kind.value(1.0),
            lambda f: kind.let(
                f * f,
                lambda z: (
                    f
                    + (kind.horner(_LOG, f) * f * z + n * kind.value(_LN2_LOW) - z * kind.value(0.5))
                    + n * kind.value(_LN2_HIGH)
                ),
            ),
        )

    def of_normal(normal: Any, shift: Any) -> Any:
        # The exponent such that the fraction lies in [√½, √2).
        root = kind.integer(_SQRT_HALF_BITS)
        return kind.let(
            kind.bits(normal),
            lambda bits: kind.let(
                (bits - root) >> kind.integer(23),
                lambda n: of_parts(kind.from_bits(bits - (n << kind.integer(23))), kind.as_float(n) - shift),
                "int32",
            ),
            "int32",
        )

    is_tiny = x < kind.value(_SMALLEST_NORMAL)
    normal = tirx.Select(is_tiny, x * kind.value(2.0**_TO_NORMAL), x)
    shift = tirx.Select(is_tiny, kind.value(float(_TO_NORMAL)), kind.value(0.0))
    finite = kind.let(normal, lambda y: kind.let(shift, lambda s: of_normal(y, s)))
    infinite = tirx.Select(x == kind.value(math.inf), x, finite)
    zero = tirx.Select(x == kind.value(0.0), kind.value(-math.inf), infinite)
    return tirx.Select(x < kind.value(0.0), kind.value(math.nan), tirx.Select(kind.is_nan(x), x, zero))


def _tanh(x: Any, kind: _Float32) -> Any:
    """x + x³·P(x²) for small |x|, else 1 - 2 / (e^2|x| + 1) with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        grown = _exp(magnitude * kind.value(2.0), kind)
        large = kind.value(1.0) - kind.value(2.0) / (grown + kind.value(1.0))
        return tirx.Select(
            magnitude < kind.value(_TANH_SMALL), small, tirx.Select(x < kind.value(0.0), -large, large)
        )

    square = x * x
    small = kind.let(square, lambda z: kind.horner(_TANH, z) * z * x + x)
    return tirx.Select(kind.is_nan(x), x, kind.let(tirx.abs(x), of_magnitude))


def _erf(x: Any, kind: _Float32) -> Any:
    """x + x·P(x²) for small |x|, else 1 - e^-Q(|x|) with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        bounded = tirx.min(magnitude, kind.value(_ERF_MOST))
        tail = kind.let(bounded, lambda b: _exp(-kind.horner(_ERF_LARGE, b), kind))
        large = kind.value(1.0) - tail
        return tirx.Select(
            magnitude < kind.value(_ERF_BETWEEN), small, tirx.Select(x < kind.value(0.0), -large, large)
        )

    small = kind.let(x * x, lambda z: kind.horner(_ERF_SMALL, z) * x + x)
    return tirx.Select(kind.is_nan(x), x, kind.let(tirx.abs(x), of_magnitude))


def _sigmoid(x: Any, kind: _Float32) -> Any:
    """1 / (1 + e^-|x|), or e^-|x| times that for negative x, which keeps the digits of small results."""
    return kind.let(
        _exp(-tirx.abs(x), kind),
        lambda e: tirx.Select(x < kind.value(0.0), e, kind.value(1.0)) / (kind.value(1.0) + e),
    )


def _log1p(x: Any, kind: _Float32) -> Any:
    """log(u) + (x - (u - 1)) / u with u = 1 + x, which puts back what the addition rounds off."""

    def corrected(u: Any) -> Any:
        plain = _log(u, kind)
        fixed = plain + (x - (u - kind.value(1.0))) / u
        is_plain = tirx.any(u == kind.value(math.inf), u == kind.value(0.0))
        return tirx.Select(is_plain, plain, fixed)

    return kind.let(x + kind.value(1.0), corrected)


#: The rules by the operator's name: the result for an operand in float32.
_RULES: dict[str, Callable[[Any, _Float32], Any]] = {
    "exp": _exp,
    "exp2": _exp2,
    "log": _log,
    "log10": lambda x, kind: _log(x, kind) * kind.value(1 / math.log(10)),
    "log1p": _log1p,
    "tanh": _tanh,
    "erf": _erf,
    "sigmoid": _sigmoid,
    "rsqrt": lambda x, kind: kind.value(1.0) / tirx.sqrt(x),
}


#: Operators that TVM rewrites to others before it lowers them.
_LEGALIZED = frozenset({"sigmoid", "rsqrt"})


def register_vector_math() -> None:
    """Registers the rules with TVM, for every program that this process compiles for LLVM."""
    for name, rule in _RULES.items():
        attribute = "FLegalize" if name in _LEGALIZED else "FLowerIntrinsic"
        operator = tvm.ir.Op.get(f"tirx.{name}")
        fallback = operator.get_attr(f"llvm.{attribute}") or operator.get_attr(f"default.{attribute}")
        tvm.ir.register_op_attr(f"tirx.{name}", f"llvm.{attribute}", _lowering(rule, fallback), _LEVEL)


def _lowering(rule: Callable[[Any, _Float32], Any], fallback: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def lower(call: Any) -> Any:
        dtype = str(call.ty.dtype)
        base, _, lanes = dtype.partition(_LANES)
        if base not in ("float32", "float16"):
            return fallback(call)
        kind = _Float32(int(lanes or 1))
        wide = call.args[0] if base == "float32" else tirx.Cast(kind.name, call.args[0])
        result = kind.let(wide, lambda x: rule(x, kind))
        return result if base == "float32" else tirx.Cast(dtype, result)

    return lower
