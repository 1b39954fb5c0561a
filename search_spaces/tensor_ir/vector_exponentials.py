"""Powers of e and of 2, and the sigmoid, as vector code (imports TVM)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import tirx

from search_spaces.tensor_ir.float_lanes import Float32Lanes

LOG2_E, LN2_HIGH, LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
# Beyond these the result is 0 and infinity.
EXP_LIMITS = (-104.0, 89.0)
EXP2_LIMITS = (-150.0, 129.0)
_HALF_EXP_MOST = 90.0
# The largest whose power of e is below the largest power of two, and the least whose power is a normal number.
_SIGMOID_LEAST, _SIGMOID_MOST = -87.0, 88.0


def exp(x: Any, kind: Float32Lanes) -> Any:
    """2^n · e^r with |r| ≤ ln 2 / 2."""
    return bounded(x, EXP_LIMITS, kind, lambda y: _parts(y, kind, _scaled_exp))


def small_exp(x: Any, kind: Float32Lanes) -> Any:
    """e^x where the result is a normal number."""
    return _parts(x, kind, lambda r, n, _: _exp_of_rest(r, kind) * _power(kind.as_integer(n), kind))


def half_exp(x: Any, kind: Float32Lanes) -> Any:
    """e^x / 2 of numbers from 0 on, finite where that is, as the larger e^x may not be."""
    return kind.let(
        kind.at_most(_HALF_EXP_MOST, x),
        lambda y: _parts(y, kind, lambda r, n, _: _scaled_exp(r, n - kind.value(1.0), kind)),
    )


def exp2(x: Any, kind: Float32Lanes) -> Any:
    """2^n · e^r with r = (x - n) · ln 2."""

    def of_parts(y: Any) -> Any:
        return kind.let(
            tirx.nearbyint(y),
            lambda n: _scaled_exp((y - n) * kind.value(math.log(2)), n, kind),
        )

    return bounded(x, EXP2_LIMITS, kind, of_parts)


def _parts(x: Any, kind: Float32Lanes, result: Callable[[Any, Any, Float32Lanes], Any]) -> Any:
    """The result for r and n with x = r + n · ln 2 and |r| ≤ ln 2 / 2."""
    return kind.let(
        tirx.nearbyint(x * kind.value(LOG2_E)),
        lambda n: result(x - n * kind.value(LN2_HIGH) - n * kind.value(LN2_LOW), n, kind),
    )


def bounded(x: Any, limits: tuple[float, float], kind: Float32Lanes, power: Callable[[Any], Any]) -> Any:
    """A power of x, 0 below the lower limit: masked scores are far below, and underflow takes a hundred cycles."""
    is_zero = x < kind.value(limits[0])
    rest = tirx.Select(is_zero, kind.value(0.0), x)
    found = kind.let(rest, lambda y: kind.let(kind.at_most(limits[1], y), power))
    return tirx.Select(is_zero, kind.value(0.0), found)


def _exp_of_rest(r: Any, kind: Float32Lanes) -> Any:
    """e^r = 1 + r + r² · P(r)."""
    return kind.let(r, lambda part: kind.horner(_EXP, part) * part * part + part + kind.value(1.0))


def _power(exponent: Any, kind: Float32Lanes) -> Any:
    """The power of two, a normal number."""
    return kind.from_bits((exponent + kind.integer(127)) << kind.integer(23))


def _scaled(value: Any, n: Any, kind: Float32Lanes) -> Any:
    """value · 2^n; two steps reach infinity and subnormal numbers."""
    return kind.let(
        kind.as_integer(n),
        lambda whole: kind.let(
            whole >> kind.integer(1),
            lambda half: value * _power(half, kind) * _power(whole - half, kind),
            "int32",
        ),
        "int32",
    )


def _scaled_exp(r: Any, n: Any, kind: Float32Lanes) -> Any:
    """e^r · 2^n."""
    return _scaled(_exp_of_rest(r, kind), n, kind)


def sigmoid(x: Any, kind: Float32Lanes) -> Any:
    """2^n / (2^n + e^-r), which keeps the digits of small results and needs no sign."""

    def of_parts(r: Any, n: Any, _: Float32Lanes) -> Any:
        return _share(_scaled(kind.value(1.0), n, kind), r, kind)

    return bounded(x, (EXP_LIMITS[0], _SIGMOID_MOST), kind, lambda y: _parts(y, kind, of_parts))


def normal_sigmoid(x: Any, kind: Float32Lanes) -> Any:
    """The sigmoid where it is a normal number."""

    def of_parts(r: Any, n: Any, _: Float32Lanes) -> Any:
        return _share(_power(kind.as_integer(n), kind), r, kind)

    return kind.let(kind.at_most(_SIGMOID_MOST, x), lambda y: _parts(y, kind, of_parts))


def _share(grown: Any, r: Any, kind: Float32Lanes) -> Any:
    """grown / (grown + e^-r)."""
    return kind.let(grown, lambda part: part / (part + _exp_of_rest(-r, kind)))


def has_normal_sigmoid(operand: Any) -> bool:
    """Whether the sigmoid of an operand in float32 is a normal number: that of a maximum is, as in SiLU."""
    if not isinstance(operand, tirx.Max):
        return False
    bounds = [side.value if isinstance(side, tirx.Broadcast) else side for side in (operand.a, operand.b)]
    return any(isinstance(bound, tirx.FloatImm) and bound.value >= _SIGMOID_LEAST for bound in bounds)
