"""Loop versioning: whole tiles and vectors apart from those that a condition cuts off (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.sym import Analyzer
from tvm.tirx.analysis import undefined_vars

from search_spaces.tensor_ir.changed_loop import changed_loop
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.loop_partition import CUT
from search_spaces.tensor_ir.module_map import mapped, with_programs
from search_spaces.tensor_ir.substitution import substituted

_VECTORIZED = int(tirx.ForKind.VECTORIZED)
_INNER = (int(tirx.ForKind.SERIAL), int(tirx.ForKind.UNROLLED), _VECTORIZED)


def with_loop_versions(module: tvm.IRModule) -> tvm.IRModule:
    """The module with versions without condition of tiles of vectors that a loop around them may cut off.

    A vector with a condition is computed number by number. Where `loop_partition` does not split the loop around, as
    it runs in parallel, and in the last step of one that it splits, the condition is tested for a whole tile, and in a
    tile that is cut off for each vector:

        for i in parallel(786): for j, k in grid(4, vectorized(16)): if 64 * i + 16 * j + k < 50257: y[...] = ...
        →  for i in parallel(786):
               if 64 * i + 63 < 50257: for j, k in grid(4, vectorized(16)): y[...] = ...
               else: for j in range(4):
                   if 64 * i + 16 * j + 15 < 50257: for k in vectorized(16): y[...] = ...
                   else: if 64 * i + 16 * j < 50257: for k in vectorized(1): y[...] = ...
    """
    return with_programs(module, _with_versions)


def _with_versions(func: tirx.PrimFunc) -> tirx.PrimFunc:
    loops = contained_nodes(func.body, tirx.For)
    nests = [nest for loop in loops if (nest := _nest(loop)) is not None and nest.cuts]
    if not nests:
        return func
    analyzer = Analyzer()
    for loop in loops:
        analyzer.bind(loop.loop_var, tvm.ir.Range.from_min_extent(loop.min, loop.extent))
    hoisted = {nest.loops[1].loop_var for nest in nests if nest.is_invariant}
    tests = {
        nest.loops[0].loop_var: (nest, test)
        for nest in nests
        if nest.loops[0].loop_var not in hoisted and (test := nest.test(analyzer)) is not None
    }

    def in_versions(loop: Any) -> Any:
        if loop.loop_var not in tests:
            return loop
        nest, test = tests[loop.loop_var]
        rest = loop if len(nest.loops) > 1 else nest.cut_off(analyzer)
        return tirx.IfThenElse(test, nest.whole(), rest)

    return mapped(func, tirx.For, in_versions)


@dataclass(frozen=True)
class _Nest:
    """Loops, the outermost first and the innermost one vectorised, around one block.

    cuts: the comparisons with variables of the loops under which the block runs; others: its other conditions.
    """

    loops: tuple[Any, ...]
    realize: Any
    cuts: tuple[_Comparison, ...]
    others: tuple[Any, ...]

    @property
    def is_invariant(self) -> bool:
        """Whether the outermost loop, of several, changes no condition."""
        return len(self.loops) > 1 and not any(self.loops[0].loop_var in cut.variables for cut in self.cuts)

    def test(self, analyzer: Analyzer) -> Any:
        """The condition under which all steps run; None where no comparison tells, or they never do."""
        last = {loop.loop_var: loop.min + loop.extent - 1 for loop in self.loops}
        if not all(cut.is_least_at(last, analyzer) for cut in self.cuts):
            return None
        test = tirx.all(*(cut.at(last) for cut in self.cuts))
        return None if analyzer.can_prove(tirx.Not(test)) else test

    def whole(self) -> Any:
        """The nest without the conditions of its own loops."""
        return self._renamed(self.loops)

    def cut_off(self, analyzer: Analyzer) -> Any:
        """The rest of a vector of which not all steps run: a shorter one, where their number is known."""
        [loop] = self.loops
        steps = self.cuts[0].steps_of_last(loop, analyzer) if len(self.cuts) == 1 else None
        if not steps:
            return loop if steps is None else None
        dtype = str(loop.loop_var.ty.dtype)
        some_run = self.cuts[0].at({loop.loop_var: loop.min + tirx.const(steps - 1, dtype)})
        short = changed_loop(loop, extent=tirx.const(steps, dtype))
        return tirx.IfThenElse(some_run, self._renamed((short,)), None)

    def _renamed(self, loops: tuple[Any, ...]) -> Any:
        """Loops around the block, with variables of their own."""
        predicate = tirx.all(*self.others) if self.others else tirx.const(True)
        found: Any = s_tir.SBlockRealize(self.realize.iter_values, predicate, self.realize.block)
        for loop in reversed(loops):
            found = changed_loop(loop, body=found)
        variables = [loop.loop_var for loop in loops] + [axis.var for axis in self.realize.block.iter_vars]
        return substituted(found, {var: tirx.Var(var.name, str(var.ty.dtype)) for var in variables})


@dataclass(frozen=True)
class _Comparison:
    """A comparison of integers, true as long as `slack` is positive."""

    condition: Any
    slack: Any

    @classmethod
    def of(cls, condition: Any) -> _Comparison | None:
        """The comparison, if it is one with an order."""
        if isinstance(condition, tirx.LT | tirx.LE):
            return cls(condition, condition.b - condition.a + int(isinstance(condition, tirx.LE)))
        if isinstance(condition, tirx.GT | tirx.GE):
            return cls(condition, condition.a - condition.b + int(isinstance(condition, tirx.GE)))
        return None

    @property
    def variables(self) -> list[Any]:
        return list(undefined_vars(self.condition))

    def at(self, steps: Mapping[Any, Any]) -> Any:
        """The condition at steps of loops."""
        return substituted(self.condition, steps)

    def is_least_at(self, steps: Mapping[Any, Any], analyzer: Analyzer) -> bool:
        """Whether it holds at all steps of these loops where it does at the given ones."""
        return bool(analyzer.can_prove(substituted(self.slack, steps) <= self.slack))

    def steps_of_last(self, loop: Any, analyzer: Analyzer) -> int | None:
        """The number of steps of a loop that run, if not all or none do; None where it differs."""
        first = substituted(self.slack, {loop.loop_var: loop.min})
        rest = analyzer.simplify(tirx.floormod(first, loop.extent))
        return int(rest) if isinstance(rest, tirx.IntImm) else None


def _nest(loop: Any) -> _Nest | None:
    """The nest of a loop with nothing but one block inside; None for other loops, and where one is to be split."""
    loops = []
    while isinstance(loop, tirx.For) and int(loop.kind) in _INNER and CUT not in loop.annotations:
        loops.append(loop)
        loop = loop.body
    if not isinstance(loop, s_tir.SBlockRealize) or not loops or int(loops[-1].kind) != _VECTORIZED:
        return None
    variables = {each.loop_var for each in loops}
    cuts, others = [], []
    for condition in _conjuncts(loop.predicate):
        if not variables & set(undefined_vars(condition)):
            others.append(condition)
        elif (cut := _Comparison.of(condition)) is not None:
            cuts.append(cut)
        else:
            return None
    return _Nest(tuple(loops), loop, tuple(cuts), tuple(others))


def _conjuncts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, tirx.And):
        yield from _conjuncts(condition.a)
        yield from _conjuncts(condition.b)
    else:
        yield condition
