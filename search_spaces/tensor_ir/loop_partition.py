"""Loops that are split where a condition in them turns false, so that only their end tests it (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.ir import TensorLoad
from tvm.sym import Analyzer
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.changed_loop import changed_loop
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.module_map import mapped, with_programs
from search_spaces.tensor_ir.substitution import substituted

#: Of a loop: makes TVM split it.
CUT = "pragma_loop_partition_hint"
_MOST_ELEMENTS = 2**31 - 1
_VECTORIZED, _UNROLLED = int(tirx.ForKind.VECTORIZED), int(tirx.ForKind.UNROLLED)
_COMPARISONS = (tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.EQ, tirx.NE)


def with_cut_loops(module: tvm.IRModule) -> tvm.IRModule:
    """The module with loop variables of 32 bits in functions with loops to cut; where 64 are needed, no loop is cut.

    TVM narrows variables of 64 bits, as in the functions of a model, just before it splits loops: by then a loop and
    the mark on it name different variables, and the loop stays whole, its conditions within. Of a loop that it does not
    narrow it makes expressions of mixed types, and then refuses them.
    """
    return with_programs(module, _with_cut_loops)


def _with_cut_loops(func: tirx.PrimFunc) -> tirx.PrimFunc:
    if not any(CUT in loop.annotations for loop in contained_nodes(func.body, tirx.For)):
        return func
    if not _is_narrow(func):
        return mapped(func, tirx.For, _unmarked)
    narrowed = tirx.transform.ForceNarrowIndexToInt32()(tvm.IRModule({"main": _with_sound_marks(func)}))
    return narrowed["main"]


def _marked(loop: Any) -> Any:
    if CUT in loop.annotations:
        return loop
    return changed_loop(loop, annotations={**loop.annotations, CUT: tirx.const(1)})


def _unmarked(loop: Any) -> Any:
    if CUT not in loop.annotations:
        return loop
    rest = {name: value for name, value in loop.annotations.items() if name != CUT}
    return changed_loop(loop, annotations=rest)


def _with_sound_marks(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with marks on loops that TVM splits right, and on vectors within them that the last step shortens.

    A loop whose condition turns false at a step that loops around it decide loses its mark, as TVM takes for granted
    that there is such a step: with

        for row, column: y[row, column] = a[...] if 38 <= 19 * row + column else b[...]

    row 0 is given 38 columns in place of its 19. Where but the last step of a marked loop around decides, which is a
    loop of its own by then, vectors get a mark, too, as one with a condition is computed number by number:

        for i in range(11): for j in vectorized(16): if 16 * i + j < 162: ...
        →  for i in range(10): for j in vectorized(16): ...
           for j in vectorized(2): ...
    """
    loops = contained_nodes(func.body, tirx.For)
    conditions = [(each, set(undefined_vars(each))) for each in _conditions(func.body)]
    within = _Ranges.of(loops)
    sound: set[Any] = set()
    for loop in reversed(loops):  # outer ones first
        if loop.loop_var in within.single:
            continue
        known = within.single | {each.loop_var for each in contained_nodes(loop, tirx.For)}
        around = [(each, variables - known) for each, variables in conditions if loop.loop_var in variables]
        if (CUT in loop.annotations or _is_end(loop, around)) and all(
            variables <= sound and within.holds_but_last(each, variables) for each, variables in around
        ):
            sound.add(loop.loop_var)

    def with_sound_mark(loop: Any) -> Any:
        return _marked(loop) if loop.loop_var in sound else _unmarked(loop)

    return mapped(func, tirx.For, with_sound_mark)


def _is_end(loop: Any, around: Sequence[tuple[Any, set[Any]]]) -> bool:
    """Whether an unmarked loop may be shortened: an unrolled one with a condition, a vector with that of a loop around.

    around: the conditions with the loop's variable, and the variables in them of loops around it.
    """
    if int(loop.kind) == _VECTORIZED:
        return any(variables for _, variables in around)
    return int(loop.kind) == _UNROLLED and bool(around)


@dataclass(frozen=True)
class _Ranges:
    """The extents of a function's loops of constant extent; single: the variables of those of one step."""

    extents: Mapping[Any, int]

    @classmethod
    def of(cls, loops: Sequence[Any]) -> _Ranges:
        """The ranges of loops that begin at 0, as scheduled ones do; nothing is known of others."""
        known = (loop for loop in loops if isinstance(loop.extent, tirx.IntImm) and _is_zero(loop.min))
        return cls({loop.loop_var: int(loop.extent) for loop in known})

    @property
    def single(self) -> set[Any]:
        return {var for var, extent in self.extents.items() if extent == 1}

    def holds_but_last(self, condition: Any, variables: set[Any]) -> bool:
        """Whether a condition holds at all steps of each of the variables' loops but at its last one."""
        return all(self._holds(condition, var) for var in variables)

    def _holds(self, condition: Any, but_last: Any) -> bool:
        analyzer = Analyzer()
        for var, extent in self.extents.items():
            steps = extent - 1 if var.same_as(but_last) else extent
            analyzer.bind(
                var, tvm.ir.Range(tirx.const(0, str(var.ty.dtype)), tirx.const(steps, str(var.ty.dtype)))
            )
        return bool(analyzer.can_prove(condition))


def _is_zero(value: Any) -> bool:
    return isinstance(value, tirx.IntImm) and int(value) == 0


def _conditions(body: Any) -> Iterator[Any]:
    """The comparisons of places in a loop's body, as functions of loop variables."""
    values: dict[Any, Any] = {}
    for block in reversed(contained_nodes(body, s_tir.SBlockRealize)):  # outer ones first
        for axis, value in zip(block.block.iter_vars, block.iter_values, strict=True):
            values[axis.var] = substituted(value, values)
    places = (each for each in contained_nodes(body, *_COMPARISONS) if not contained_nodes(each, TensorLoad))
    return (substituted(each, values) for each in places)


def _is_narrow(func: tirx.PrimFunc) -> bool:
    """Whether 32 bits are enough for all places and values."""
    shapes = [list(getattr(param.ty, "shape", [])) for param in func.params]
    if not all(isinstance(size, int | tirx.IntImm) for shape in shapes for size in shape):
        return False
    return all(prod(map(int, shape)) <= _MOST_ELEMENTS for shape in shapes) and not _has_wide_data(func.body)


def _has_wide_data(body: Any) -> bool:
    """Whether a function computes with integers of 64 bits, other than truth values, which must not become narrower."""
    loads = contained_nodes(body, TensorLoad)
    casts = [cast for cast in contained_nodes(body, tirx.Cast) if str(cast.value.ty.dtype) != "bool"]
    return any(str(value.ty.dtype).startswith(("int64", "uint64")) for value in (*loads, *casts))
