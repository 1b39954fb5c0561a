"""Elementary functions on registers of AVX-512, by tables of sixteen values in a register (imports TVM).

A table has the values at sixteen places; a short polynomial leads on from there. The functions are those of
`vector_math`, in half the instructions, and as exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tirx
from tvm.target import codegen

from search_spaces.tensor_ir.float_lanes import Float32Lanes, by_registers
from search_spaces.tensor_ir.vector_exponentials import (
    EXP2_LIMITS,
    EXP_LIMITS,
    LN2_HIGH,
    LN2_LOW,
    LOG2_E,
    bounded,
)

_WIDTH = 16
_FEATURE = "avx512f"
_LOOK_UP, _SCALE = "llvm.x86.avx512.permvar.sf.512", "llvm.x86.avx512.mask.scalef.ps.512"
_ALL_LANES, _CURRENT_ROUNDING = -1, 4
# Added to a small float, these round it to sixteenths and to integers, which its last bits count then.
_TO_SIXTEENTHS, _TO_INTEGERS = 1.5 * 2.0**19, 1.5 * 2.0**23
_EXP = (1 / 6, 0.5, 1.0, 1.0)
_POWERS = tuple(2.0 ** (place / _WIDTH) for place in range(_WIDTH))
# Beyond it the sigmoid is 1.
_SIGMOID_MOST = 40.0
# Coefficients of the powers of the distance to each multiple of the step, the highest power first; see
# `scripts/fit_vector_math.py`.
_ERF_STEP, _ERF_MOST = 0.2578125, 3.97
# fmt: off
_ERF = (
    (0.11100565, 0.07923967, 0.004232865, -0.056131534, -0.06763511, -0.041984763, -0.009848852,
     0.00903718, 0.012952697, 0.009373416, 0.0048979977, 0.0020144167, 0.0006746165, 0.00018833585,
     4.430428e-05, -0.0017028459),
    (0.00027534523, 0.12923226, 0.18299462, 0.14364654, 0.058755822, -0.01415709, -0.047087207,
     -0.04602136, -0.029726028, -0.016179163, -0.0060127606, -0.0022636445, -0.0014220519, -0.00031381065,
     -0.00071420893, -0.00037678488),
    (-0.37614065, -0.30517966, -0.13503157, 0.04061007, 0.14634222, 0.16587783, 0.13010384, 0.07986155,
     0.040123705, 0.016863657, 0.0060029216, 0.0018239685, 0.0004755972, 0.000106808024, 2.0716905e-05,
     1.8388697e-05),
    (2.4503834e-07, -0.27220014, -0.44599414, -0.47982138, -0.4017541, -0.27610853, -0.15948685,
     -0.07841233, -0.03307839, -0.012008074, -0.003785432, -0.0010288268, -0.00023044129, -4.7393285e-05,
     2.5916086e-06, 3.775435e-06),
    (1.1283792, 1.0558171, 0.86494714, 0.62037987, 0.38957676, 0.21418828, 0.10310163, 0.04345129,
     0.016032714, 0.005179391, 0.0014649323, 0.00036276385, 7.864969e-05, 1.4929238e-05, 2.481107e-06,
     3.6028953e-07),
    (0.0, 0.28459144, 0.53412306, 0.72595984, 0.8552718, 0.9316981, 0.9713021, 0.9892959, 0.9964638,
     0.9989671, 0.9997337, 0.99993944, 0.99998784, 0.99999785, 0.99999964, 0.99999994),
)
# fmt: on


@dataclass(frozen=True)
class RegisterLanes(Float32Lanes):
    """Float32 values of whole registers of AVX-512."""

    def looked_up(self, table: Sequence[float], index: Any) -> Any:
        """The values of a table of sixteen; index: int32, of which the last four bits count."""
        values = tirx.Shuffle([tirx.const(one, "float32") for one in table], list(range(_WIDTH)))
        return self._by_registers(lambda own: _called(_LOOK_UP, values, own), index)

    def scaled(self, value: Any, exponent: Any) -> Any:
        """value · 2^⌊exponent⌋, rounded once where that is subnormal."""
        mask, rounding = tirx.const(_ALL_LANES, "int16"), tirx.const(_CURRENT_ROUNDING, "int32")
        return self._by_registers(
            lambda own, by: _called(_SCALE, own, by, own, mask, rounding), value, exponent
        )

    def _by_registers(self, apply: Callable[..., Any], *values: Any) -> Any:
        return by_registers(self.lanes, _WIDTH, apply, *values)


def _called(intrinsic: str, *operands: Any) -> Any:
    """LLVM's intrinsic on a register."""
    return tirx.call_llvm_pure_intrin(f"float32x{_WIDTH}", intrinsic, *operands)


def fill_registers(lanes: int) -> bool:
    """Whether vectors of so many floats are whole registers of AVX-512, which the present target has."""
    target = tvm.target.Target.current(allow_none=True)
    return lanes % _WIDTH == 0 and target is not None and codegen.target_has_features(_FEATURE, target)


def exp(x: Any, kind: RegisterLanes) -> Any:
    """2^n · e^r with n in sixteenths and |r| ≤ ln 2 / 32."""
    return bounded(x, EXP_LIMITS, kind, lambda y: small_exp(y, kind))


def exp2(x: Any, kind: RegisterLanes) -> Any:
    """2^n · e^r with r = (x - n) · ln 2."""

    def of_bounded(y: Any) -> Any:
        ln2 = kind.value(math.log(2))
        return _sixteenths(y, kind, lambda n, counted: _power((y - n) * ln2, n, counted, kind))

    return bounded(x, EXP2_LIMITS, kind, of_bounded)


def small_exp(x: Any, kind: RegisterLanes) -> Any:
    """e^x where no bound is needed."""
    return _parts(x, kind, lambda r, n, counted: _power(r, n, counted, kind))


def sigmoid(x: Any, kind: RegisterLanes) -> Any:
    """The sigmoid, which is 0 where e^x is."""
    return bounded(x, (EXP_LIMITS[0], _SIGMOID_MOST), kind, lambda y: _share(y, kind))


def normal_sigmoid(x: Any, kind: RegisterLanes) -> Any:
    """The sigmoid where it is a normal number."""
    return _share(kind.at_most(_SIGMOID_MOST, x), kind)


def _share(x: Any, kind: RegisterLanes) -> Any:
    """2^-n / (2^-n + e^r) with -x = r + n · ln 2, which keeps the digits of small results and needs no sign."""

    def of_parts(r: Any, n: Any, counted: Any) -> Any:
        grown, one = _rest(r, counted, kind), kind.value(1.0)
        return kind.let(-tirx.floor(n), lambda by: kind.scaled(one / (kind.scaled(one, by) + grown), by))

    return _parts(-x, kind, of_parts)


def erf(x: Any, kind: RegisterLanes) -> Any:
    """A polynomial of the distance to the next multiple of the step, with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        return kind.let(
            magnitude * kind.value(1 / _ERF_STEP) + kind.value(_TO_INTEGERS),
            lambda rounded: kind.let(
                kind.bits(rounded), lambda place: of_place(magnitude, rounded, place), "int32"
            ),
        )

    def of_place(magnitude: Any, rounded: Any, place: Any) -> Any:
        distance = magnitude - (rounded - kind.value(_TO_INTEGERS)) * kind.value(_ERF_STEP)
        return kind.let(distance, lambda t: kind.with_sign_of(x, polynomial(t, place)))

    def polynomial(t: Any, place: Any) -> Any:
        result = kind.looked_up(_ERF[0], place)
        for row in _ERF[1:]:
            result = result * t + kind.looked_up(row, place)
        return result

    return kind.let(kind.at_most(_ERF_MOST, tirx.abs(x)), of_magnitude)


def _sixteenths(x: Any, kind: RegisterLanes, result: Callable[[Any, Any], Any]) -> Any:
    """The result for x in sixteenths, and for an integer that counts those of its fraction in its last bits."""
    return kind.let(
        x + kind.value(_TO_SIXTEENTHS),
        lambda rounded: kind.let(
            kind.bits(rounded),
            lambda counted: kind.let(rounded - kind.value(_TO_SIXTEENTHS), lambda n: result(n, counted)),
            "int32",
        ),
    )


def _parts(x: Any, kind: RegisterLanes, result: Callable[[Any, Any, Any], Any]) -> Any:
    """The result for r, n and the sixteenths of n with x = r + n · ln 2 and |r| ≤ ln 2 / 32."""
    return kind.let(
        x,
        lambda y: _sixteenths(
            y * kind.value(LOG2_E),
            kind,
            lambda n, counted: result(y - n * kind.value(LN2_HIGH) - n * kind.value(LN2_LOW), n, counted),
        ),
    )


def _rest(r: Any, counted: Any, kind: RegisterLanes) -> Any:
    """e^r times the power of two of a fraction in sixteenths."""
    return kind.let(r, lambda part: kind.horner(_EXP, part)) * kind.looked_up(_POWERS, counted)


def _power(r: Any, n: Any, counted: Any, kind: RegisterLanes) -> Any:
    """e^r · 2^n."""
    return kind.scaled(_rest(r, counted, kind), n)
