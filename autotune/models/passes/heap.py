"""A binary heap within a tensor program, by TVM's builder of statements (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's programs are written with

#: The condition that one of two goes before the other.
Order = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Heap:
    """Numbers of one row's elements, of which none below another goes before it.

    items: of all rows, of which this one's begin at `start`; goes_before: the condition of two items, an order without
    equal ones; length: of the heap, in a buffer of one.
    """

    items: Any
    start: Any
    goes_before: Order
    length: Any

    @property
    def top(self) -> Any:
        """The item that goes before all others."""
        return self.items[self.start]

    def fill(self, count: int, is_wanted: Callable[[Any], Any] | None = None) -> None:
        """Puts the items below a count in that are wanted, by default all."""
        self.length[0] = 0
        with T.serial(0, count) as item:
            if is_wanted is None:
                self._append(item)
            else:
                with T.If(is_wanted(item)), T.Then():
                    self._append(item)
        half = local()
        half[0] = self.length[0] // 2
        with T.While(half[0] > 0):
            half[0] = half[0] - 1
            self._sink(half[0])

    def replace(self, item: Any) -> None:
        """Puts an item in the place of the top one."""
        self.items[self.start] = item
        self._sink(0)

    def take(self) -> Any:
        """Takes the top item out, of a heap that has one; a buffer of it."""
        taken = local()
        taken[0] = self.top
        self.length[0] = self.length[0] - 1
        self.replace(self.items[self.start + self.length[0]])
        return taken

    def _append(self, item: Any) -> None:
        self.items[self.start + self.length[0]] = item
        self.length[0] = self.length[0] + 1

    def _sink(self, place: Any) -> None:
        """Moves an item down to where none below goes before it."""
        at, below, moved = local(), local(), local()
        at[0] = place
        moved[0] = self.items[self.start + place]
        below[0] = self._better_child(at[0])
        with T.While(tirx.all(below[0] < self.length[0], self.goes_before(self._at(below[0]), moved[0]))):
            self.items[self.start + at[0]] = self._at(below[0])
            at[0] = below[0]
            below[0] = self._better_child(at[0])
        self.items[self.start + at[0]] = moved[0]

    def _better_child(self, place: Any) -> Any:
        left = 2 * place + 1
        is_right = tirx.all(left + 1 < self.length[0], self.goes_before(self._at(left + 1), self._at(left)))
        return left + tirx.Cast("int32", is_right)

    def _at(self, place: Any) -> Any:
        """The item at a node; TVM evaluates both sides of a conjunction, so that it may be beyond the end."""
        return self.items[self.start + tirx.max(tirx.min(place, self.length[0] - 1), 0)]


def ordered_by(numbers: Any, start: Any, order: Order, of_equals: Order) -> Order:
    """The order of items by their numbers, which begin at `start`, and of items of equal numbers by themselves."""

    def goes_before(one: Any, other: Any) -> Any:
        mine, its = numbers[start + one], numbers[start + other]
        return tirx.any(order(mine, its), tirx.all(mine == its, of_equals(one, other)))

    return goes_before


def local() -> Any:
    """An integer that changes, within a loop of a program that is being built."""
    return T.buffer_proxy(T.decl_buffer([1], "int32", scope="local"))
