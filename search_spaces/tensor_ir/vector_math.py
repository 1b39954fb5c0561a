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

from search_spaces.tensor_ir import register_math, vector_hyperbolics, vector_trigonometry
from search_spaces.tensor_ir.float_lanes import LANES, Float32Lanes
from search_spaces.tensor_ir.vector_exponentials import (
    exp,
    exp2,
    has_normal_sigmoid,
    normal_sigmoid,
    sigmoid,
    small_exp,
)
from search_spaces.tensor_ir.vector_logarithms import log, log1p

#: Of the code that the rules make: times of other versions are not comparable.
VECTOR_MATH_VERSION = "7"
# Of the rules; higher than TVM's own.
_LEVEL = 100
# Beyond the last the result is 1.
_TANH_SMALL, _TANH_MOST = 0.625, 9.5
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


def _tanh(x: Any, kind: Float32Lanes, power: Callable[[Any, Any], Any] = small_exp) -> Any:
    """x + x³·P(x²) for small |x|, else 1 - 2 / (e^2|x| + 1) with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        doubled = kind.at_most(_TANH_MOST, magnitude) * kind.value(2.0)
        grown = kind.let(doubled, lambda y: power(y, kind))
        large = kind.value(1.0) - kind.value(2.0) / (grown + kind.value(1.0))
        return tirx.Select(
            magnitude < kind.value(_TANH_SMALL), small, tirx.Select(x < kind.value(0.0), -large, large)
        )

    square = x * x
    small = kind.let(square, lambda z: kind.horner(_TANH, z) * z * x + x)
    return kind.let(tirx.abs(x), of_magnitude)


def _erf(x: Any, kind: Float32Lanes) -> Any:
    """x + x·P(x²) for small |x|, else 1 - e^-Q(|x|) with the sign of x."""

    def of_magnitude(magnitude: Any) -> Any:
        bounded = kind.at_most(_ERF_MOST, magnitude)
        tail = kind.let(
            bounded, lambda b: kind.let(-kind.horner(_ERF_LARGE, b), lambda y: small_exp(y, kind))
        )
        large = kind.value(1.0) - tail
        return tirx.Select(
            magnitude < kind.value(_ERF_BETWEEN), small, tirx.Select(x < kind.value(0.0), -large, large)
        )

    small = kind.let(x * x, lambda z: kind.horner(_ERF_SMALL, z) * x + x)
    return kind.let(tirx.abs(x), of_magnitude)


#: The rules by the operator's name: the result for an operand in float32.
_RULES: dict[str, Callable[[Any, Float32Lanes], Any]] = {
    "exp": exp,
    "exp2": exp2,
    "log": log,
    "log10": lambda x, kind: log(x, kind) * kind.value(1 / math.log(10)),
    "log1p": log1p,
    "tanh": _tanh,
    "erf": _erf,
    "sigmoid": sigmoid,
    "rsqrt": lambda x, kind: kind.value(1.0) / tirx.sqrt(x),
    "sin": vector_trigonometry.sin,
    "cos": vector_trigonometry.cos,
    "atan": vector_trigonometry.atan,
    "asin": vector_trigonometry.asin,
    "acos": vector_trigonometry.acos,
    "sinh": vector_hyperbolics.sinh,
    "cosh": vector_hyperbolics.cosh,
    "asinh": vector_hyperbolics.asinh,
    "acosh": vector_hyperbolics.acosh,
    "atanh": vector_hyperbolics.atanh,
}
#: Those of whole registers of AVX-512.
_REGISTER_RULES: dict[str, Callable[[Any, register_math.RegisterLanes], Any]] = {
    "exp": register_math.exp,
    "exp2": register_math.exp2,
    "tanh": lambda x, kind: _tanh(x, kind, register_math.small_exp),
    "erf": register_math.erf,
    "sigmoid": register_math.sigmoid,
}


#: Operators with instructions on whole vectors for which TVM makes loops of scalar calls.
_OF_VECTORS = ("nearbyint",)
#: Operators that TVM rewrites to others before it lowers them.
_LEGALIZED = frozenset({"sigmoid", "rsqrt"})


def has_vector_rule(call: Any) -> bool:
    """Whether a call is of a function that the rules lower."""
    return getattr(call.op, "name", "").removeprefix("tirx.") in _RULES


def register_vector_math() -> None:
    """Registers the rules with TVM, for every program that this process compiles for LLVM."""
    for name in _OF_VECTORS:
        tvm.ir.register_op_attr(f"tirx.{name}", "TVectorizable", True, _LEVEL)
    for name in _RULES:
        attribute = "FLegalize" if name in _LEGALIZED else "FLowerIntrinsic"
        operator = tvm.ir.Op.get(f"tirx.{name}")
        of_llvm = operator.get_attr(f"llvm.{attribute}")
        fallback = of_llvm or operator.get_attr(f"default.{attribute}")
        is_of_vectors = bool(operator.get_attr("TVectorizable"))
        if not is_of_vectors:
            # TVM would make a loop of scalar calls before it asks for the rule.
            tvm.ir.register_op_attr(operator.name, "TVectorizable", True, _LEVEL)
        if not is_of_vectors or (of_llvm is None and name not in _LEGALIZED):
            fallback = _lane_by_lane(fallback)  # functions of the C library take numbers
        tvm.ir.register_op_attr(operator.name, f"llvm.{attribute}", _lowering(name, fallback), _LEVEL)


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


def _lowering(name: str, fallback: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def lower(call: Any) -> Any:
        dtype = str(call.ty.dtype)
        base, _, lanes = dtype.partition(LANES)
        if base not in ("float32", "float16"):
            return fallback(call)
        count = int(lanes or 1)
        wide = call.args[0] if base == "float32" else tirx.Cast(Float32Lanes(count).name, call.args[0])
        result = _of_float32(name, wide, count)
        return result if base == "float32" else tirx.Cast(dtype, result)

    return lower


def _of_float32(name: str, operand: Any, lanes: int) -> Any:
    """The function of an operand in float32."""
    is_normal = name == "sigmoid" and has_normal_sigmoid(operand)
    if name in _REGISTER_RULES and register_math.fill_registers(lanes):
        kind = register_math.RegisterLanes(lanes)
        of_registers = register_math.normal_sigmoid if is_normal else _REGISTER_RULES[name]
        return kind.let(operand, lambda x: of_registers(x, kind))
    plain, rule = Float32Lanes(lanes), normal_sigmoid if is_normal else _RULES[name]
    return plain.let(operand, lambda x: rule(x, plain))
