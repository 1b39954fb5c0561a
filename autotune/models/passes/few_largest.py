"""The few largest or smallest numbers of rows, without sorting the rest (imports TVM)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import tvm
from tvm import te, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's programs are written with

from autotune.models.passes.rewriting import is_call, rewritten, static_shape

#: A condition under which one number goes before another.
_Order = Callable[[Any, Any], Any]
#: Wanted numbers up to which inserting each costs less than sorting, whatever the order of the row.
_FEW = 64
#: More of them, where the row is longer by this factor.
_MOST, _LEAST_RATIO = 512, 8


def with_few_largest(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each TopK of a few numbers along the last axis as a tensor program.

    Of many numbers, along other axes and of free sizes it stays TVM's own, which sorts whole rows, one after the other.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or that of the tensor program."""
        call = self.visit_expr_post_order(call)
        if not is_call(call, "relax.topk") or str(call.attrs.ret_type) != "both":
            return call
        [data] = call.args
        sizes, count = static_shape(data), int(call.attrs.k)
        if sizes is None or int(call.attrs.axis) % len(sizes) != len(sizes) - 1 or not _are_few(count, sizes):
            return call
        goes_before = operator.gt if call.attrs.largest else operator.lt
        program = partial(_topk, count=count, goes_before=goes_before, dtype=str(call.attrs.dtype))
        return self.builder_.call_te(program, data, primfunc_name_hint="topk")


def _are_few(count: int, sizes: tuple[int, ...]) -> bool:
    is_small_part = count <= _MOST and count * _LEAST_RATIO <= sizes[-1]
    return 0 < count <= sizes[-1] and 0 not in sizes and (count <= _FEW or is_small_part)


def _topk(data: te.Tensor, count: int, goes_before: _Order, dtype: str) -> list[te.Tensor]:
    """The values in order and their places, the first of equal ones first; dtype: of places."""
    shape = [*data.shape[:-1], count]
    rows, size = prod(int(one) for one in data.shape[:-1]), int(data.shape[-1])

    def program(inputs: Any, outputs: Any) -> Any:
        numbers, values, places = (T.buffer_proxy(one) for one in (*inputs, *outputs))

        def insert(row: Any, column: Any, last: Any) -> None:
            """Puts a number among those before `last`, whose own place is free or given up."""
            first = row * count
            free = T.buffer_proxy(T.decl_buffer([1], "int32", scope="local"))
            free[0] = last
            number = numbers[row * size + column]
            # TVM evaluates both sides of a conjunction.
            before = first + tirx.max(free[0] - 1, 0)
            with T.While(tirx.all(free[0] > 0, goes_before(number, values[before]))):
                values[first + free[0]] = values[before]
                places[first + free[0]] = places[before]
                free[0] = free[0] - 1
            values[first + free[0]] = number
            places[first + free[0]] = tirx.Cast(dtype, column)

        with IRBuilder() as built, T.parallel(0, rows) as row:
            with T.serial(0, count) as column:
                insert(row, column, column)
            with T.serial(count, size) as column:
                least = values[row * count + count - 1]
                with T.If(goes_before(numbers[row * size + column], least)), T.Then():
                    insert(row, column, count - 1)
        return built.get()

    found: list[te.Tensor] = te.extern([shape, shape], [data], program, "topk", [str(data.dtype), dtype])
    return found
