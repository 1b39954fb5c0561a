"""Vector code for exp, log, tanh, erf, sigmoid and their kin on CPU targets (imports TVM).

TVM lowers them to scalar calls of the C library, one for each element of a vector. The rules here replace that at
the end of lowering, in every tensor program that this process compiles: workloads and records stay what they are.
Within 4 units in the last place of float32 everywhere, NaN and infinities as in C; half floats are computed in
float32. Polynomials: exp, log after Cephes (Moshier); tanh, erf: minimax rational functions, fitted by
`scripts/fit_vector_math.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tvm
from tvm import tirx

from search_spaces.tensor_ir.float_lanes import LANES, Float32Lanes

#: Of the code that the rules make: times of other versions are not comparable.
VECTOR_MATH_VERSION = "3"
# Of the rules; higher than TVM's own.
_LEVEL = 100
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
# The bit pattern of √½.
_SQRT_HALF_BITS = 0x3F3504F3
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


def _exp(x: Any, kind: Float32Lanes) -> Any:
    """2^n · e^r with |r| ≤ ln 2 / 2."""

    def of_parts(bounded: Any) -> Any:
        return kind.let(
            tirx.nearbyint(bounded * kind.value(_LOG2_E)),
            lambda n: _scaled_exp(bounded - n * kind.value(_LN2_HIGH) - n * kind.value(_LN2_LOW), n, kind),
        )

    return _bounded(x, (_EXP_LEAST, _EXP_MOST), kind, of_parts)


def _exp2(x: Any, kind: Float32Lanes) -> Any:
    """2^n · e^r with r = (x - n) · ln 2."""

    def of_parts(bounded: Any) -> Any:
        return kind.let(
            tirx.nearbyint(bounded),
            lambda n: _scaled_exp((bounded - n) * kind.value(math.log(2)), n, kind),
        )

    return _bounded(x, (_EXP2_LEAST, _EXP2_MOST), kind, of_parts)


def _bounded(x: Any, limits: tuple[float, float], kind: Float32Lanes, power: Callable[[Any], Any]) -> Any:
    """A power of x, 0 below the lower limit: masked scores are far below, and underflow takes a hundred cycles."""
    is_zero = x < kind.value(limits[0])
    bounded = tirx.min(tirx.Select(is_zero, kind.value(0.0), x), kind.value(limits[1]))
    found = tirx.Select(is_zero, kind.value(0.0), kind.let(bounded, power))
    return tirx.Select(kind.is_nan(x), x, found)


def _scaled_exp(r: Any, n: Any, kind: Float32Lanes) -> Any:
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


def _log(x: Any, kind: Float32Lanes) -> Any:
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


def _tanh(x: Any, kind: Float32Lanes) -> Any:
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


def _erf(x: Any, kind: Float32Lanes) -> Any:
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


def _sigmoid(x: Any, kind: Float32Lanes) -> Any:
    """1 / (1 + e^-|x|), or e^-|x| times that for negative x, which keeps the digits of small results."""
    return kind.let(
        _exp(-tirx.abs(x), kind),
        lambda e: tirx.Select(x < kind.value(0.0), e, kind.value(1.0)) / (kind.value(1.0) + e),
    )


def _log1p(x: Any, kind: Float32Lanes) -> Any:
    """log(u) + (x - (u - 1)) / u with u = 1 + x, which puts back what the addition rounds off."""

    def corrected(u: Any) -> Any:
        plain = _log(u, kind)
        fixed = plain + (x - (u - kind.value(1.0))) / u
        is_plain = tirx.any(u == kind.value(math.inf), u == kind.value(0.0))
        return tirx.Select(is_plain, plain, fixed)

    return kind.let(x + kind.value(1.0), corrected)


#: The rules by the operator's name: the result for an operand in float32.
_RULES: dict[str, Callable[[Any, Float32Lanes], Any]] = {
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
        if not operator.get_attr("TVectorizable"):
            # TVM would make a loop of scalar calls before it asks for the rule.
            tvm.ir.register_op_attr(operator.name, "TVectorizable", True, _LEVEL)
            fallback = _lane_by_lane(fallback)
        tvm.ir.register_op_attr(operator.name, f"llvm.{attribute}", _lowering(rule, fallback), _LEVEL)


def _lane_by_lane(lower: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Lowers a call on vectors as scalar calls whose results are put together."""

    def lower_lanes(call: Any) -> Any:
        base, _, lanes = str(call.ty.dtype).partition(LANES)
        if not lanes:
            return lower(call)
        values = [tirx.Shuffle([call.args[0]], [lane]) for lane in range(int(lanes))]
        return tirx.Shuffle(
            [lower(tirx.call_intrin(base, call.op, value)) for value in values], list(range(int(lanes)))
        )

    return lower_lanes


def _lowering(
    rule: Callable[[Any, Float32Lanes], Any], fallback: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    def lower(call: Any) -> Any:
        dtype = str(call.ty.dtype)
        base, _, lanes = dtype.partition(LANES)
        if base not in ("float32", "float16"):
            return fallback(call)
        kind = Float32Lanes(int(lanes or 1))
        wide = call.args[0] if base == "float32" else tirx.Cast(kind.name, call.args[0])
        result = kind.let(wide, lambda x: rule(x, kind))
        return result if base == "float32" else tirx.Cast(dtype, result)

    return lower
