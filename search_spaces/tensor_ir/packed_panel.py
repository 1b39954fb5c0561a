"""Panels of packed operands in lowered products: what one tile of sums reads of them (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad
from tvm.sym import Analyzer

from search_spaces.tensor_ir.stack_allocation import is_on_stack
from search_spaces.tensor_ir.substitution import substituted

_Values = Mapping[Any, Any]


@dataclass(frozen=True)
class Panel:
    """The elements of `buffer` from `start` on that the loops of a sum, `inner`, read: `width` of them a step.

    outer: the loops around those, the outermost first.
    """

    buffer: Any
    start: Any
    width: int
    outer: tuple[Any, ...]
    inner: tuple[Any, ...]

    @property
    def steps(self) -> int:
        """Steps of the sum."""
        return prod(extent(loop) for loop in self.inner)

    @property
    def step(self) -> Any:
        """The number of the present step of the sum."""
        number: Any = tirx.IntImm("int32", 0)
        for loop in self.inner:
            number = number * loop.extent + loop.loop_var
        return number

    def start_after(self, loop: Any, steps: int) -> Any:
        """The start of the panel that is read so many steps of an outer loop later, which goes on from its begin."""
        zeros = {inner.loop_var: tirx.IntImm("int32", 0) for inner in self.inner}
        return substituted(self.start, {**zeros, loop.loop_var: (loop.loop_var + steps) % loop.extent})

    def period(self, loop: Any) -> int:
        """The number of steps of an outer loop after which another panel is read; 0 where they all read the same."""
        loops = (*self.outer, *self.inner)
        first = _at(self.start, loops, {})
        divisors: set[int] = {1}

        def note(division: Any) -> None:
            divisors.add(_constant(division.b) or 1)

        tvm_ffi.structural_walk(self.start, ((tirx.FloorDiv, tirx.FloorMod), note))
        steps = sorted(step for step in divisors if step < extent(loop))
        return next((step for step in steps if _at(self.start, loops, {loop.loop_var: step}) != first), 0)


@dataclass(frozen=True)
class _Nest:
    """An innermost loop, last among the loops around it; values: of the variables bound before it; sums: the buffers
    on the stack."""

    loops: tuple[Any, ...]
    values: _Values
    sums: frozenset[Any]


def panels(body: Any) -> Iterator[Panel]:
    """The panels of the products in a lowered function's body, whose sums lie on the stack."""
    for nest in _nests(body, (), {}, frozenset()):
        if (panel := _panel(nest)) is not None:
            yield panel


def extent(loop: Any) -> int:
    """The number of steps of a loop, 0 where it is not known."""
    return _constant(loop.extent) or 0


def _nests(stmt: Any, loops: tuple[Any, ...], values: _Values, sums: frozenset[Any]) -> Iterator[_Nest]:
    """The innermost loops of a statement within loops."""
    if isinstance(stmt, tirx.For):
        inside = list(_nests(stmt.body, (*loops, stmt), values, sums))
        yield from inside or [_Nest((*loops, stmt), values, sums)]
    elif isinstance(stmt, tirx.AttrStmt):
        yield from _nests(stmt.body, loops, values, sums)
    elif isinstance(stmt, tirx.IfThenElse):
        for branch in (stmt.then_case, stmt.else_case):
            yield from _nests(branch, loops, values, sums)
    elif isinstance(stmt, tirx.SeqStmt):
        for part in stmt.seq:
            if isinstance(part, tirx.Bind):
                values = {**values, part.var: substituted(part.value, values)}
            elif _is_on_stack(part, sums):
                sums |= {part.buffer}
            yield from _nests(part, loops, values, sums)


def _is_on_stack(stmt: Any, sums: frozenset[Any]) -> bool:
    """Whether a statement allocates a buffer on the stack, or names one of these anew."""
    if isinstance(stmt, tirx.DeclBuffer):
        owners = list(getattr(stmt.data, "args", []))
        return len(owners) == 1 and owners[0] in sums
    return isinstance(stmt, tirx.AllocBuffer) and is_on_stack(stmt)


def _panel(nest: _Nest) -> Panel | None:
    """The panel that a nest multiplies by; None where it does something else, or reads no packed operand."""
    values, reads = dict(nest.values), []
    body = nest.loops[-1].body
    for part in body.seq if isinstance(body, tirx.SeqStmt) else [body]:
        if isinstance(part, tirx.Bind):
            values[part.var] = substituted(part.value, values)
        elif (
            isinstance(part, tirx.BufferStore)
            and part.buffer in nest.sums
            and isinstance(part.value, tirx.Add)
        ):
            reads += _vectors(part.value.b)
        else:
            return None
    buffers = {read.source for read in reads}
    if len(buffers) != 1 or buffers & nest.sums:
        return None
    places = [substituted(read.indices[0].base, values) for read in reads]
    return _contiguous(nest, reads[0].source, places, int(reads[0].indices[0].lanes))


def _contiguous(nest: _Nest, buffer: Any, places: list[Any], lanes: int) -> Panel | None:
    """The panel of these vectors, if the innermost loops read them one after the other."""
    analyzer = Analyzer()
    offsets = {_constant(analyzer.simplify(place - places[0])) for place in places}
    known = sorted(offset for offset in offsets if offset is not None)
    if len(known) < len(offsets) or known != [known[0] + lanes * index for index in range(len(known))]:
        return None
    if not all(extent(loop) and _constant(loop.min) == 0 for loop in nest.loops):
        return None
    start, width = analyzer.simplify(places[0] + known[0]), lanes * len(known)
    size, cut = width, len(nest.loops)
    while cut and _stride(start, nest.loops, nest.loops[cut - 1]) == size:
        cut -= 1
        size *= extent(nest.loops[cut])
    return Panel(buffer, start, width, nest.loops[:cut], nest.loops[cut:]) if cut < len(nest.loops) else None


def _stride(start: Any, loops: tuple[Any, ...], loop: Any) -> int | None:
    """The elements between what is read in two steps of a loop; None where these differ or are not known."""
    last = extent(loop) - 1
    places = [_at(start, loops, {loop.loop_var: step}) for step in (0, 1, last)]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or known[2] - known[0] != last * (known[1] - known[0]):
        return None
    return known[1] - known[0]


def _vectors(value: Any) -> list[Any]:
    """The reads of consecutive elements among the factors of a product."""
    if not isinstance(value, tirx.Mul):
        return []
    factors = [factor.value if isinstance(factor, tirx.Cast) else factor for factor in (value.a, value.b)]
    return [read for read in factors if isinstance(read, TensorLoad) and _is_run(read.indices)]


def _is_run(indices: Any) -> bool:
    return len(indices) == 1 and isinstance(indices[0], tirx.Ramp) and _constant(indices[0].stride) == 1


def _constant(value: Any) -> int | None:
    return int(value) if isinstance(value, int | tirx.IntImm) else None


def _at(expression: Any, loops: tuple[Any, ...], steps: Mapping[Any, int]) -> int | None:
    """The value of an expression at these steps of its loops, the first ones of the others."""
    values = {loop.loop_var: tirx.IntImm("int32", steps.get(loop.loop_var, 0)) for loop in loops}
    return _constant(Analyzer().simplify(substituted(expression, values)))
