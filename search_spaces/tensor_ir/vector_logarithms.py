"""Logarithms as vector code (imports TVM). Polynomial after Cephes (Moshier)."""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from search_spaces.tensor_ir.float_lanes import Float32Lanes
from search_spaces.tensor_ir.vector_exponentials import LN2_HIGH, LN2_LOW

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


def log(x: Any, kind: Float32Lanes) -> Any:
    """n · ln 2 + log(m) with m in [√½, √2)."""

    def of_parts(m: Any, n: Any) -> Any:
        return kind.let(
            m - kind.value(1.0),
            lambda f: kind.let(
                f * f,
                lambda z: (
                    f
                    + (kind.horner(_LOG, f) * f * z + n * kind.value(LN2_LOW) - z * kind.value(0.5))
                    + n * kind.value(LN2_HIGH)
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


def log1p(x: Any, kind: Float32Lanes) -> Any:
    """log(u) + (x - (u - 1)) / u with u = 1 + x, which puts back what the addition rounds off."""

    def corrected(u: Any) -> Any:
        plain = log(u, kind)
        fixed = plain + (x - (u - kind.value(1.0))) / u
        is_plain = tirx.any(u == kind.value(math.inf), u == kind.value(0.0))
        return tirx.Select(is_plain, plain, fixed)

    return kind.let(x + kind.value(1.0), corrected)
