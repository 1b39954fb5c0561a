"""Suppression of overlapping boxes in which only the boxes that may be kept are sorted (imports TVM)."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial
from typing import Any

import tvm
from tvm import relax, te, tirx
from tvm.relax.transform.legalize_ops.vision import _all_class_non_max_suppression as legalize_by_tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's programs are written with

from autotune.models.passes.heap import Heap, local, ordered_by
from autotune.models.passes.rewriting import static_shape

_CORNERS = 4


def legalize_suppression(builder: relax.BlockBuilder, call: Any) -> Any:
    """The kept boxes, [number, 3], and their number, for `relax.vision.all_class_non_max_suppression`.

    The boxes of each class above the least score are put in a heap; one after the other leaves it, and is kept if it
    does not overlap one that was. TVM sorts all of them: 80 classes of 8,400 boxes took it 95 ms. Thresholds that are
    no constants, free sizes, and TensorFlow's form of the result are left to TVM.
    """
    boxes, scores, *limits = call.args
    sizes = static_shape(scores)
    is_constant = all(isinstance(one, tvm.ir.GenericConst) for one in limits)
    if call.attrs.output_format != "onnx" or sizes is None or len(sizes) != 3 or not is_constant:
        return legalize_by_tvm(builder, call)
    most, overlap, least = (one.value.numpy().item() for one in limits)
    program = partial(_suppression, most=int(most), overlap=float(overlap), least=float(least))
    found = builder.emit(builder.call_te(program, boxes, scores, primfunc_name_hint="non_max_suppression"))
    rows, end, number = (builder.emit(relax.TupleGetItem(found, place)) for place in range(3))
    start, step = (relax.const([value] * 2, "int64") for value in (0, 1))
    return relax.Tuple([builder.emit(relax.op.dynamic_strided_slice(rows, start, end, step)), number])


def _suppression(
    boxes: te.Tensor, scores: te.Tensor, most: int, overlap: float, least: float
) -> list[te.Tensor]:
    """Rows of batch, class and box; the ends of those that count; their number; then what is scratch."""
    batches, classes, count = (int(size) for size in scores.shape)
    rows = batches * classes
    shapes = [[rows * most, 3], [2], [1], [rows, count], [rows, most], [rows]]
    dtypes = ["int64", "int64", "int64", "int32", "int32", "int32"]

    def program(inputs: Any, outputs: Any) -> Any:
        corners, numbers, *found, heaps, kept, lengths = (T.buffer_proxy(one) for one in (*inputs, *outputs))
        # A program is one statement for TVM's builder.
        with IRBuilder() as built, T.serial(0, 1):
            with T.parallel(0, rows) as row:
                start = row * count
                waiting = Heap(heaps, start, ordered_by(numbers, start, operator.gt, operator.lt), local())
                waiting.fill(count, partial(_is_candidate, numbers, start, least))
                first = row // classes * count
                lengths[row] = _kept(waiting, kept, (row * most, most), _Overlap(corners, first, overlap))
            _collect(found, kept, lengths, (rows, classes, most))
        return built.get()

    return list(te.extern(shapes, [boxes, scores], program, name="non_max_suppression", dtype=dtypes))


def _is_candidate(scores: Any, start: Any, least: float, box: Any) -> Any:
    return scores[start + box] > tirx.const(least, "float32")


@dataclass(frozen=True)
class _Overlap:
    """Comparison of two boxes of an image; limit: the least intersection over union of boxes that overlap."""

    corners: Any
    first: Any
    limit: float

    def __call__(self, one: Any, other: Any) -> Any:
        """The condition that they overlap; the corners may be any two that are opposite."""
        (top, left, bottom, right), (up, port, down, starboard) = self._sides(one), self._sides(other)
        height = tirx.max(tirx.min(bottom, down) - tirx.max(top, up), tirx.const(0, "float32"))
        width = tirx.max(tirx.min(right, starboard) - tirx.max(left, port), tirx.const(0, "float32"))
        shared = height * width
        union = (bottom - top) * (right - left) + (down - up) * (starboard - port) - shared
        zero = tirx.const(0, "float32")
        ratio = tirx.Select(
            union > zero, shared / tirx.Select(union > zero, union, tirx.const(1, "float32")), zero
        )
        return ratio >= tirx.const(self.limit, "float32")

    def _sides(self, box: Any) -> tuple[Any, Any, Any, Any]:
        y, x, other_y, other_x = (
            self.corners[(self.first + box) * _CORNERS + place] for place in range(_CORNERS)
        )
        return tirx.min(y, other_y), tirx.min(x, other_x), tirx.max(y, other_y), tirx.max(x, other_x)


def _kept(waiting: Heap, kept: Any, places: tuple[Any, int], overlaps: _Overlap) -> Any:
    """Keeps boxes of one class at these places, the first one and the most; their number."""
    start, most = places
    number = local()
    number[0] = 0
    with T.While(tirx.all(waiting.length[0] > 0, number[0] < most)):
        box, earlier, is_apart = waiting.take(), local(), local()
        earlier[0], is_apart[0] = 0, 1
        with T.While(tirx.all(is_apart[0] > 0, earlier[0] < number[0])):
            # The place is one of this class even where nothing is read.
            other = kept[start + tirx.min(earlier[0], most - 1)]
            is_apart[0] = 1 - tirx.Cast("int32", overlaps(box[0], other))
            earlier[0] = earlier[0] + 1
        with T.If(is_apart[0] > 0), T.Then():
            kept[start + number[0]] = box[0]
            number[0] = number[0] + 1
    return number[0]


def _collect(found: list[Any], kept: Any, lengths: Any, sizes: tuple[int, int, int]) -> None:
    """Writes the rows of all classes one after the other, and their number."""
    (triples, end, number), (rows, classes, most) = found, sizes
    total = local()
    total[0] = 0
    with T.serial(0, rows) as row, T.serial(0, lengths[row]) as place:
        values = (row // classes, row % classes, kept[row * most + place])
        for column, value in enumerate(values):
            triples[total[0] * len(values) + column] = tirx.Cast("int64", value)
        total[0] = total[0] + 1
    end[0], end[1] = tirx.Cast("int64", total[0]), tirx.const(3, "int64")
    number[0] = tirx.Cast("int64", total[0])
