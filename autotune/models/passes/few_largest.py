"""The largest or smallest numbers of rows, without sorting the rest (imports TVM)."""

from __future__ import annotations

import operator
from functools import partial
from math import prod
from typing import Any

import tvm
from tvm import relax, te, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's programs are written with

from autotune.models.passes.heap import Heap, Order, local, ordered_by
from autotune.models.passes.rewriting import is_call, rewritten, static_shape

#: Wanted numbers up to which inserting each costs less than a heap, whatever the order of the row.
_FEW = 16
#: Wanted numbers whose heap stays in the caches.
_MOST = 1 << 16


def with_few_largest(module: tvm.IRModule) -> tvm.IRModule:
    """The module with each TopK along the last axis as a tensor program, rows in parallel.

    Of most numbers of very long rows, along other axes and of free sizes it stays TVM's own, which sorts whole rows.
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
        if sizes is None or int(call.attrs.axis) % len(sizes) != len(sizes) - 1 or not _fits(count, sizes):
            return call
        order = operator.gt if call.attrs.largest else operator.lt
        program = partial(
            _inserted if count <= _FEW else _taken, count=count, order=order, dtype=str(call.attrs.dtype)
        )
        found = self.builder_.emit(self.builder_.call_te(program, data, primfunc_name_hint="topk"))
        return relax.Tuple([self.builder_.emit(relax.TupleGetItem(found, place)) for place in (0, 1)])


def _fits(count: int, sizes: tuple[int, ...]) -> bool:
    return 0 < count <= min(sizes[-1], _MOST) and 0 not in sizes


def _taken(data: te.Tensor, count: int, order: Order, dtype: str) -> list[te.Tensor]:
    """The values in order and their places, from a heap of the best so far, the worst on top; dtype: of places."""
    shape = [*data.shape[:-1], count]
    rows, size = prod(int(one) for one in data.shape[:-1]), int(data.shape[-1])

    def program(inputs: Any, outputs: Any) -> Any:
        numbers, values, places, heaps = (T.buffer_proxy(one) for one in (*inputs, *outputs))
        with IRBuilder() as built, T.parallel(0, rows) as row:
            first = row * size
            # Of equal numbers the last one is the worst.
            goes_behind = ordered_by(numbers, first, lambda mine, its: order(its, mine), operator.gt)
            heap = Heap(heaps, row * count, goes_behind, local())
            heap.fill(count)
            worst = T.buffer_proxy(T.decl_buffer([1], str(data.dtype), scope="local"))
            worst[0] = numbers[first + heap.top]
            with T.serial(count, size) as place, T.If(order(numbers[first + place], worst[0])), T.Then():
                heap.replace(place)
                worst[0] = numbers[first + heap.top]
            with T.serial(0, count) as step:
                place, column = heap.take(), row * count + count - 1 - step
                values[column] = numbers[first + place[0]]
                places[column] = tirx.Cast(dtype, place[0])
        return built.get()

    dtypes = [str(data.dtype), dtype, "int32"]
    found: list[te.Tensor] = te.extern([shape, shape, [rows, count]], [data], program, "topk", dtypes)
    return found


def _inserted(data: te.Tensor, count: int, order: Order, dtype: str) -> list[te.Tensor]:
    """The values in order and their places, each inserted among the best so far; dtype: of places."""
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
            with T.While(tirx.all(free[0] > 0, order(number, values[before]))):
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
                with T.If(order(numbers[row * size + column], least)), T.Then():
                    insert(row, column, count - 1)
        return built.get()

    found: list[te.Tensor] = te.extern([shape, shape], [data], program, "topk", [str(data.dtype), dtype])
    return found
