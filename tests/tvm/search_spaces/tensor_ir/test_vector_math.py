"""Elementary functions are vector code on CPU targets, right to 4 units in the last place and at NaN and infinities."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from scipy import special
from tvm import te, tirx

from search_spaces.target import Target
from search_spaces.tensor_ir.modules import tvm_target

Array = npt.NDArray[Any]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": special.erf,
    "sigmoid": special.expit,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "atan": np.arctan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
#: Functions of numbers from 1 on; those of numbers up to 1.
FROM_ONE, UP_TO_ONE = ("acosh",), ("asin", "acos", "atanh")
#: Beyond these arguments results may lose digits; with multiply-adds, beyond 2^40.
LARGEST = {"sin": 2.0**20, "cos": 2.0**20}
ELSEWHERE = {
    "AVX2": "llvm -mcpu=haswell",
    "AVX-512": "llvm -mcpu=skylake-avx512",
    "NEON": "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72",
}
#: Names of the C library's functions in assembly: expf, erff, log1pf and so on.
LIBRARY = re.compile(r"\b(?:exp|exp2|log|log10|log1p|erf|pow|sqrt|a?(?:sin|cos|tan)h?)f?(?:@PLT)?$")


def program(name: str, dtype: str, size: int, lanes: int = 16) -> tvm.IRModule:
    """The function of each element of a vector, in vectors of so many lanes; 1: element by element."""
    given = te.placeholder((size,), dtype, name="x")
    result = te.compute((size,), lambda i: getattr(tirx, name)(given[i]), name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([given, result]))
    [loop] = schedule.get_loops(schedule.get_sblock("y"))
    if lanes > 1:
        schedule.vectorize(schedule.split(loop, [None, lanes])[1])
    return schedule.mod


def built_for(target: Target, module: tvm.IRModule) -> Any:
    """The module built as kernels are."""
    with tvm_target(target) as compiled_for:
        return tvm.tirx.build(module, target=compiled_for)


def computed(name: str, x: Array, target: Target, lanes: int = 16) -> Array:
    built = built_for(target, program(name, str(x.dtype), x.size, lanes))
    y = tvm.runtime.tensor(np.zeros_like(x))
    built["main"](tvm.runtime.tensor(x), y)
    return y.numpy()


def some_arguments(name: str) -> npt.NDArray[np.float64]:
    """Numbers for which a function is finite and not 0."""
    return np.linspace(1.01 if name in FROM_ONE else 0.01, 0.99 if name in UP_TO_ONE else 8, 512)


def everywhere() -> npt.NDArray[np.float32]:
    """Every 9,973rd float32, among them NaN, subnormal numbers and both zeros; infinities; and the edges of exp."""
    bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    edges = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, 88.72, 88.73, -87.3, -103.9, -104.1, 1.0])
    found = np.concatenate([bits.view(np.float32), edges.astype(np.float32)])
    return np.resize(found, -(-found.size // 32) * 32)


@pytest.mark.parametrize("lanes", [1, 8, 16, 32])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_results_are_right_to_4_units_in_the_last_place(name: str, lanes: int, target: Target) -> None:
    given = everywhere()
    x = given[~(np.abs(given) > LARGEST.get(name, np.inf)) | np.isinf(given)]
    x = np.resize(x, -(-x.size // 32) * 32)
    y = computed(name, x, target, lanes)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64))
        right = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(right))
    infinite = np.isinf(right)
    np.testing.assert_array_equal(y[infinite], right[infinite])
    finite = np.isfinite(right)
    assert np.isfinite(y[finite]).all()
    units = np.abs(y[finite] - exact[finite]) / np.spacing(np.abs(right[finite]))
    assert units.max() <= 4, (name, x[finite][units.argmax()])


@pytest.mark.parametrize("name", list(LARGEST))
def test_waves_of_huge_arguments_are_between_their_peaks(name: str, target: Target) -> None:
    x = np.float32(2.0) ** np.arange(-32, 128, dtype=np.float32)
    y = computed(name, x * np.float32(1.7), target)
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("unit", list(ELSEWHERE))
def test_vectors_call_no_function_of_the_c_library(unit: str, name: str) -> None:
    built = built_for(Target.parse(ELSEWHERE[unit]), program(name, "float32", 64))
    called = [
        line.split()[-1]
        for line in built.inspect_source("asm").splitlines()
        if re.match(r"\s+(?:callq?|jmp|bl|b)\s", line)
    ]
    assert not [one for one in called if LIBRARY.search(one)]


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_vectors_fill_whole_registers(name: str) -> None:
    code = built_for(Target.parse(ELSEWHERE["AVX-512"]), program(name, "float32", 64)).inspect_source("asm")
    assert re.search(r"v(?:mul|fmadd\d*|sqrt|add)ps\s.*%zmm", code)
    assert not re.search(r"v(?:mul|fmadd\d*|sqrt|add)ps\s.*%ymm", code)


@pytest.mark.parametrize("name", ["exp", "exp2", "tanh", "erf", "sigmoid"])
def test_registers_of_avx_512_look_values_up(name: str) -> None:
    code = built_for(Target.parse(ELSEWHERE["AVX-512"]), program(name, "float32", 64)).inspect_source("asm")
    assert re.search(r"vpermps\s.*%zmm", code)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_half_floats_are_computed_in_float32(name: str, target: Target) -> None:
    x = some_arguments(name).astype(np.float16)
    np.testing.assert_allclose(
        computed(name, x, target), FUNCTIONS[name](x.astype(np.float64)), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_double_floats_keep_their_digits(name: str, target: Target) -> None:
    x = some_arguments(name)
    np.testing.assert_allclose(computed(name, x, target, lanes=4), FUNCTIONS[name](x), rtol=1e-14)


def test_roundings_to_bytes_are_vectors(target: Target) -> None:
    x = te.placeholder((64,), "float32", name="x")
    y = te.compute((64,), lambda i: tirx.nearbyint(x[i]).astype("int32").astype("uint8"), name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([x, y]))
    schedule.vectorize(schedule.split(schedule.get_loops(schedule.get_sblock("y"))[0], [None, 16])[1])

    code = built_for(Target.parse(ELSEWHERE["AVX-512"]), schedule.mod).inspect_source("asm")
    assert re.search(r"vrndscaleps\s.*%zmm", code)
    assert "gather" not in code

    ties = np.linspace(0, 31.5, 64).astype(np.float32)
    found = tvm.runtime.tensor(np.zeros(64, np.uint8))
    built_for(target, schedule.mod)["main"](tvm.runtime.tensor(ties), found)
    np.testing.assert_array_equal(found.numpy(), np.rint(ties))
