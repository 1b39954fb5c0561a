"""One stage of a tensor program: a block that computes a buffer, and what may be done to its loops (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.sym import Analyzer, detect_linear_equation
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.index_simplification import within
from search_spaces.tensor_ir.word_instructions import OPERATORS

#: Buffers with the indices of the first element that one step reads or writes in each dimension.
_Accesses = tuple[tuple[Any, tuple[Any, ...]], ...]
_REALIZE = tvm_ffi.get_global_func("s_tir.schedule.GetSBlockRealize")
_SPATIAL, _REDUCTION = int(tirx.IterVar.DataPar), int(tirx.IterVar.CommReduce)
# TVM's CallEffectKind: what has no effect but its value.
_PURE = (0, 1)
_EFFECT = "TCallEffectKind"
_CONDITION = "prim.if_then_else"
#: Steps of a reduction that are all unrolled, and so know whether they read padding.
_LARGEST_WINDOW = 49


@dataclass(frozen=True, eq=False)
class Axis:
    """One loop of a stage; extent is None where it is dynamic."""

    var: Any
    extent: int | None
    is_reduction: bool

    @property
    def is_unit(self) -> bool:
        """Whether there is one step only."""
        return self.extent == 1


@dataclass(frozen=True, eq=False)
class Stage:
    """A block whose every spatial axis is an index of each buffer that it writes, so that no two steps meet.

    axes:     its loops from the outside in;
    reads:    buffers with the index of the first element that one step reads in each dimension;
    value:    what one step stores; None where that is no single number, as for an argmax;
    calls:    how many function calls, such as exp, one step makes;
    branches: whether one step has a condition;
    is_exact: whether one step reads one element of each buffer, at the indices given.
    """

    block: Any
    axes: tuple[Axis, ...]
    reads: _Accesses
    writes: _Accesses
    value: Any
    calls: int
    branches: bool
    is_exact: bool

    @property
    def spatial(self) -> tuple[Axis, ...]:
        """The axes along which results lie."""
        return tuple(axis for axis in self.axes if not axis.is_reduction)

    @property
    def reductions(self) -> tuple[Axis, ...]:
        """The axes along which numbers are summed up, or combined otherwise."""
        return tuple(axis for axis in self.axes if axis.is_reduction)

    @property
    def points(self) -> int | None:
        """The number of results, None where it is dynamic."""
        return volume(self.spatial)

    @property
    def steps(self) -> int | None:
        """The number of steps, None where it is dynamic."""
        return volume(self.axes)

    @property
    def buffer(self) -> Any:
        """The first buffer that it writes."""
        return self.writes[0][0]

    @property
    def is_window(self) -> bool:
        """Whether each result comes from a few numbers, as in a depthwise convolution or a pooling."""
        numbers = volume(self.reductions)
        return bool(self.reductions) and numbers is not None and numbers <= _LARGEST_WINDOW

    def reads_of(self, buffer: Any) -> list[tuple[Any, ...]]:
        """The indices at which one step reads a buffer."""
        return [indices for source, indices in self.reads if source.same_as(buffer)]


def volume(axes: Iterable[Axis]) -> int | None:
    """The product of the extents, None where one is dynamic."""
    extents = [axis.extent for axis in axes]
    return None if None in extents else prod(each for each in extents if each is not None)


def read_stage(schedule: s_tir.Schedule, block: Any) -> Stage | None:
    """The stage of a block; None where its loops or effects are of another kind, so that it is to be left alone."""
    found = schedule.get(block)
    realize = _REALIZE(schedule, block)
    loops = [schedule.get(loop) for loop in schedule.get_loops(block)]
    axes = tuple(_axis(each) for each in found.iter_vars)
    kinds = {int(each.iter_type) for each in found.iter_vars}
    bindings = list(realize.iter_values)
    if (
        not kinds <= {_SPATIAL, _REDUCTION}
        or len(loops) != len(axes)
        or not all(loop.loop_var.same_as(value) for loop, value in zip(loops, bindings, strict=True))
        or not all(int(loop.kind) == int(tirx.ForKind.SERIAL) for loop in loops)
        or not (isinstance(realize.predicate, tirx.IntImm) and int(realize.predicate) == 1)
        or found.alloc_buffers
        or found.match_buffers
    ):
        return None
    calls = contained_nodes(found.body, tvm.ir.Call)
    writes = _starts(found.writes)
    spatial = [axis for axis in axes if not axis.is_reduction]
    if not writes or not all(_is_one_to_one(spatial, region) for region in found.writes):
        return None
    if any(_effect(call) not in _PURE for call in calls):
        return None
    names = [str(call.op.name) for call in calls]
    return Stage(
        block,
        axes,
        _simplified(_starts(found.reads), found.iter_vars),
        writes,
        found.body.value if isinstance(found.body, tirx.BufferStore) else None,
        function_calls(calls),
        _CONDITION in names,
        all(_is_point(region) for region in found.reads),
    )


def function_calls(calls: Iterable[Any]) -> int:
    """The number of calls that are of functions, such as exp, and no conditions or products of words."""
    return sum(str(getattr(call.op, "name", "")) not in (_CONDITION, *OPERATORS) for call in calls)


def reduction_variables(schedule: s_tir.Schedule, block: Any) -> list[Any]:
    """The variables of the loops along which a block sums up, however they are split."""
    kinds = [int(axis.iter_type) for axis in schedule.get(block).iter_vars]
    return [
        var
        for place, kind in enumerate(kinds)
        if kind == _REDUCTION
        for var in loop_variables(schedule, block, place)
    ]


def loop_variables(schedule: s_tir.Schedule, block: Any, place: int) -> list[Any]:
    """The variables of the loops of one of a block's axes."""
    return list(undefined_vars(_REALIZE(schedule, block).iter_values[place]))


def uses(index: Any, axis: Axis) -> bool:
    """Whether an index depends on an axis."""
    return any(axis.var.same_as(var) for var in undefined_vars(index))


def period(indices: Iterable[Any], axis: Axis) -> int:
    """The length of pieces of an axis within which its quotients, as in a grouped convolution, are constant."""
    divisors: list[int] = []

    def look(division: Any) -> None:
        if isinstance(division.b, tirx.IntImm) and uses(division.a, axis):
            divisors.append(int(division.b))

    for index in indices:
        tvm_ffi.structural_walk(index, (tirx.FloorDiv, look), order="post")
        tvm_ffi.structural_walk(index, (tirx.FloorMod, look), order="post")
    return gcd(axis.extent or 0, *divisors)


def is_contiguous(indices: tuple[Any, ...], axis: Axis, piece: int = 0) -> bool:
    """Whether the next step along the axis reads the next element in memory, or the same one.

    piece: only within pieces of so many steps; 0 for the whole axis.
    """
    if not piece:
        return _is_next(indices, axis.var)
    indices, _, step = _in_pieces(indices, axis, piece)
    return _is_next(indices, step)


def depends_within(indices: tuple[Any, ...], axis: Axis, piece: int) -> bool:
    """Whether what is read depends on the place within a piece of the axis."""
    indices, _, step = _in_pieces(indices, axis, piece)
    return any(step.same_as(var) for index in indices for var in undefined_vars(index))


def is_interleaved(indices: tuple[Any, ...], axis: Axis, streams: int) -> bool:
    """Whether the step along the axis after so many others reads the next element in memory, or the same one."""
    indices, turn, _ = _in_pieces(indices, axis, streams)
    return _is_next(indices, turn)


def _in_pieces(indices: tuple[Any, ...], axis: Axis, piece: int) -> tuple[tuple[Any, ...], Any, Any]:
    """The indices in terms of a piece of the axis and of a step within it, and both variables."""
    kind = str(axis.var.ty.dtype)
    start, step = tirx.Var("start", kind), tirx.Var("step", kind)
    size, zero = tirx.const(piece, kind), tirx.const(0, kind)
    analyzer = Analyzer()
    analyzer.bind(step, tvm.ir.Range(zero, size))
    if axis.extent is not None:
        analyzer.bind(start, tvm.ir.Range(zero, tirx.const(axis.extent // piece, kind)))
    analyzer.bind(axis.var, start * size + step)
    return tuple(analyzer.simplify(index) for index in indices), start, step


def _is_next(indices: tuple[Any, ...], var: Any) -> bool:
    """Whether the next value of a variable reads the next element in memory, or the same one."""
    dependent = [any(var.same_as(one) for one in undefined_vars(index)) for index in indices]
    if not any(dependent):
        return True
    terms = detect_linear_equation(indices[-1], [var])
    return (
        not any(dependent[:-1])
        and len(terms) == 2
        and isinstance(terms[0], tirx.IntImm)
        and int(terms[0]) == 1
    )


def is_var(index: Any, axis: Axis) -> bool:
    """Whether an index is the axis itself."""
    return isinstance(index, tirx.Var) and index.same_as(axis.var)


def _axis(iter_var: Any) -> Axis:
    extent = iter_var.dom.extent
    return Axis(
        iter_var.var,
        int(extent) if isinstance(extent, tirx.IntImm) else None,
        int(iter_var.iter_type) == _REDUCTION,
    )


def _starts(regions: Any) -> _Accesses:
    return tuple((each.source, tuple(part.min for part in each.region)) for each in regions)


def _simplified(reads: _Accesses, iter_vars: Any) -> _Accesses:
    """Indices without the quotients and remainders of reshapes that the extents of the axes decide."""
    analyzer = within(iter_vars)
    return tuple((source, tuple(analyzer.simplify(index) for index in indices)) for source, indices in reads)


def _is_one_to_one(spatial: list[Axis], region: Any) -> bool:
    """Whether each step of the spatial axes has an element of its own."""
    starts = [part.min for part in region.region]
    named = [start for start in starts if isinstance(start, tirx.Var)]
    wide = [axis for axis in spatial if not axis.is_unit]
    return _is_point(region) and all(sum(axis.var.same_as(start) for start in named) == 1 for axis in wide)


def _is_point(region: Any) -> bool:
    return all(isinstance(part.extent, tirx.IntImm) and int(part.extent) == 1 for part in region.region)


def _effect(call: Any) -> int:
    kind = call.op.get_attr(_EFFECT) if isinstance(call.op, tvm.ir.Op) else None
    return -1 if kind is None else int(kind)
