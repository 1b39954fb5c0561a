"""Hyperbolic functions and their inverses as vector code (imports TVM). Polynomial after Cephes (Moshier)."""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from search_spaces.tensor_ir.float_lanes import Float32Lanes
from search_spaces.tensor_ir.vector_exponentials import half_exp
from search_spaces.tensor_ir.vector_logarithms import log, log1p

_SINH = (2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1)
#: From here on √(x² ± 1) is |x| in float32, whose square may be infinite.
_LARGE = 2.0**20


def sinh(x: Any, kind: Float32Lanes) -> Any:
    """x + x³ · P(x²) for small |x|, else (e^|x| - e^-|x|) / 2 with the sign of x."""
    small = kind.let(x * x, lambda z: kind.horner(_SINH, z) * z * x + x)

    def of_magnitude(magnitude: Any) -> Any:
        large = kind.let(half_exp(magnitude, kind), lambda half: half - kind.value(0.25) / half)
        return tirx.Select(magnitude < kind.value(1.0), small, kind.with_sign_of(x, large))

    return kind.let(tirx.abs(x), of_magnitude)


def cosh(x: Any, kind: Float32Lanes) -> Any:
    """(e^|x| + e^-|x|) / 2."""
    return kind.let(
        tirx.abs(x),
        lambda magnitude: kind.let(half_exp(magnitude, kind), lambda half: half + kind.value(0.25) / half),
    )


def asinh(x: Any, kind: Float32Lanes) -> Any:
    """log(1 + |x| + x² / (1 + √(x² + 1))) with the sign of x."""

    def of_magnitude(m: Any) -> Any:
        one = kind.value(1.0)
        bounded = kind.at_most(_LARGE, m)
        sum_less_one = kind.let(bounded, lambda y: y + y * y / (one + tirx.sqrt(y * y + one)))
        return kind.with_sign_of(x, _log1p_or_log_of_double(sum_less_one, m, kind))

    return kind.let(tirx.abs(x), of_magnitude)


def acosh(x: Any, kind: Float32Lanes) -> Any:
    """log(1 + t + √(2t + t²)) with t = x - 1; NaN below 1."""
    less_one = kind.at_most(_LARGE, x) - kind.value(1.0)
    sum_less_one = kind.let(less_one, lambda t: t + tirx.sqrt(t + t + t * t))
    found = _log1p_or_log_of_double(sum_less_one, x, kind)
    return tirx.Select(x < kind.value(1.0), kind.value(math.nan), found)


def atanh(x: Any, kind: Float32Lanes) -> Any:
    """log(1 + 2|x| / (1 - |x|)) / 2 with the sign of x."""

    def of_magnitude(m: Any) -> Any:
        half = log1p((m + m) / (kind.value(1.0) - m), kind) * kind.value(0.5)
        return tirx.Select(m > kind.value(1.0), kind.value(math.nan), kind.with_sign_of(x, half))

    return kind.let(tirx.abs(x), of_magnitude)


def _log1p_or_log_of_double(small: Any, x: Any, kind: Float32Lanes) -> Any:
    """log(1 + small), or log(2x) where x is large."""
    is_large = x > kind.value(_LARGE)
    plain = kind.let(small, lambda y: log1p(y, kind))
    return tirx.Select(is_large, log(x, kind) + kind.value(math.log(2)), plain)
