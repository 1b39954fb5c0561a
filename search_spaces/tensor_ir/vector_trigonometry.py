"""Sine, cosine and the inverse functions as vector code (imports TVM). Polynomials after Cephes (Moshier)."""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from search_spaces.tensor_ir.float_lanes import Float32Lanes

# π/2 in parts of 33 bits and a rest: the products of the first two with a number of quarter turns are exact.
_QUARTER = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
# Added to a small float64, it rounds that to an integer, which the last bits count then.
_TO_INTEGERS = 1.5 * 2.0**52
# Of the rest: a little more than an eighth of a turn. Beyond 2^40, or 2^20 without FMA, rests are wrong.
_MOST_REST = 0.7854
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_TANGENT = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
_ARC_SINE = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
_TAN_EIGHTH, _TAN_THREE_EIGHTHS = 0.4142135623730950, 2.414213562373095


def sin(x: Any, kind: Float32Lanes) -> Any:
    """±sin(r) or ±cos(r) with x = r + n · π/2 and |r| ≤ π/4."""
    return _wave(x, 0, kind)


def cos(x: Any, kind: Float32Lanes) -> Any:
    """sin(x + π/2)."""
    return _wave(x, 1, kind)


def atan(x: Any, kind: Float32Lanes) -> Any:
    """The arc tangent of |x|, or of what is left beyond an eighth or a quarter of a turn, with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        is_large = magnitude > kind.value(_TAN_THREE_EIGHTHS)
        is_small = magnitude <= kind.value(_TAN_EIGHTH)
        one = kind.value(1.0)
        over = tirx.Select(is_large, -one, magnitude - one)
        under = tirx.Select(is_large, magnitude, magnitude + one)
        turned = tirx.Select(is_large, kind.value(math.pi / 2), kind.value(math.pi / 4))
        # NaN compares as neither.
        left = tirx.Select(is_small, magnitude, over / under)
        start = tirx.Select(is_small, kind.value(0.0), turned)
        return kind.let(left, lambda y: kind.with_sign_of(x, start + odd(y, _TANGENT)))

    def odd(y: Any, coefficients: tuple[float, ...]) -> Any:
        return kind.let(y * y, lambda z: kind.horner(coefficients, z) * z * y + y)

    return kind.let(tirx.abs(x), of_magnitude)


def asin(x: Any, kind: Float32Lanes) -> Any:
    """The arc sine of |x| up to ½, beyond it π/2 less twice that of √((1 - |x|) / 2), with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        def of_arc(arc: Any) -> Any:
            turned = kind.value(math.pi / 2) - arc - arc
            return kind.with_sign_of(x, tirx.Select(magnitude > kind.value(0.5), turned, arc))

        return kind.let(_small_arc(magnitude, kind), of_arc)

    return kind.let(tirx.abs(x), of_magnitude)


def acos(x: Any, kind: Float32Lanes) -> Any:
    """π/2 less the arc sine up to ½, beyond it twice the arc sine of √((1 - |x|) / 2), or what π exceeds that by."""

    def of_magnitude(magnitude: Any) -> Any:
        def of_arc(arc: Any) -> Any:
            is_negative = x < kind.value(0.0)
            near = kind.value(math.pi / 2) - tirx.Select(is_negative, -arc, arc)
            far = tirx.Select(is_negative, kind.value(math.pi) - arc - arc, arc + arc)
            return tirx.Select(magnitude > kind.value(0.5), far, near)

        return kind.let(_small_arc(magnitude, kind), of_arc)

    return kind.let(tirx.abs(x), of_magnitude)


def _small_arc(magnitude: Any, kind: Float32Lanes) -> Any:
    """The arc sine of a number up to ½, or of √((1 - m) / 2) for a larger one: y + y³ · P(y²)."""
    is_large = magnitude > kind.value(0.5)
    square = tirx.Select(is_large, (kind.value(1.0) - magnitude) * kind.value(0.5), magnitude * magnitude)

    def of_square(z: Any) -> Any:
        root = tirx.Select(is_large, tirx.sqrt(z), magnitude)
        return kind.let(root, lambda y: kind.horner(_ARC_SINE, z) * z * y + y)

    return kind.let(square, of_square)


def _wave(x: Any, quarters: int, kind: Float32Lanes) -> Any:
    """The sine of x and so many quarter turns; the rest is found in float64, so that it is right near zeros."""

    def of_rounded(wide: Any, rounded: Any) -> Any:
        number = rounded - kind.double(_TO_INTEGERS)
        bits = kind.as_integer(kind.long_bits(rounded)) + kind.integer(quarters)
        return kind.let(
            number, lambda n: kind.let(bits, lambda turn: of_rest(rest(wide, n), turn), "int32"), "float64"
        )

    def rest(wide: Any, number: Any) -> Any:
        left = wide
        for part in _QUARTER:
            left = left - number * kind.double(part)
        return tirx.Cast(kind.name, left)

    def of_rest(left: Any, turn: Any) -> Any:
        above = kind.at_most(_MOST_REST, left)
        bounded = tirx.Select(above < kind.value(-_MOST_REST), kind.value(-_MOST_REST), above)
        return kind.let(bounded, lambda r: kind.let(r * r, lambda z: of_square(r, z, turn)))

    def of_square(r: Any, z: Any, turn: Any) -> Any:
        sine = kind.horner(_SINE, z) * z * r + r
        cosine = kind.horner(_COSINE, z) * z * z - z * kind.value(0.5) + kind.value(1.0)
        is_odd = (turn & kind.integer(1)) > kind.integer(0)
        sign = (turn & kind.integer(2)) << kind.integer(30)
        return kind.from_bits(kind.bits(tirx.Select(is_odd, cosine, sine)) ^ sign)

    return kind.let(
        kind.as_double(x),
        lambda wide: kind.let(
            wide * kind.double(2 / math.pi) + kind.double(_TO_INTEGERS),
            lambda rounded: of_rounded(wide, rounded),
            "float64",
        ),
        "float64",
    )
