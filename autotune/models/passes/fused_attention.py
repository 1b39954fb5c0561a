"""Attention whose scores are larger than caches, as one tensor program (imports TVM)."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, te, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import bound, is_call, rewritten, uses
from search_spaces.tensor_ir.attention import attention, blocks_of
from search_spaces.tensor_ir.vector_unit import VectorUnit

_MATMUL, _SOFTMAX = "relax.matmul", "relax.nn.softmax"
_CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "relax.add": operator.add,
    "relax.divide": operator.truediv,
    "relax.multiply": operator.mul,
    "relax.subtract": operator.sub,
}
#: Those whose operands may be exchanged.
_COMMUTATIVE = ("relax.add", "relax.multiply")
#: Scores of 13 MB took as long fused as not, those of 50 MB a quarter less.
_LEAST_SCORE_BYTES = 16 << 20
_ELEMENT_BYTES = 4
_WIDTH_UNIT = 8

_Shape = tuple[int, ...]


def with_fused_attention(module: tvm.IRModule, unit: VectorUnit) -> tvm.IRModule:
    """The module with `softmax(query @ key * scale + mask) @ value` as one call where the scores are large.

    scores[1, 12, 4096, 4096] = query @ key; softmax; @ value  →  attention(query, key, value)
    """
    return rewritten(module, _Rewriter(module, unit))


@dataclass(frozen=True)
class _Change:
    """An operation on scores, and its other operand."""

    apply: Callable[[Any, Any], Any]
    operand: Any


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule, unit: VectorUnit) -> None:
        super().__init__(module)
        self._uses: Counter[Any] = uses(module)
        self._unit = unit

    def visit_call_(self, call: Any) -> Any:
        """The call, or that of the attention which ends with it."""
        original = call
        call = self.visit_expr_post_order(call)
        if not is_call(call, _MATMUL):
            return call
        found = self._scores(original.args[0])
        if found is None:
            return call
        scores, changes = found
        return self._attention((*scores.args, call.args[1]), changes, call)

    def _scores(self, powers: Any) -> tuple[Any, list[_Change]] | None:
        """The product and its changes that a softmax is of, which nothing else reads."""
        softmax = self._only_use(powers)
        if not is_call(softmax, _SOFTMAX):
            return None
        rank = len(softmax.ty.shape)
        if int(softmax.attrs.axis) % rank != rank - 1:
            return None
        changes: list[_Change] = []
        value = self._only_use(softmax.args[0])
        while (change := self._change(value)) is not None:
            value, found = change
            changes.insert(0, found)
        return (value, changes) if is_call(value, _MATMUL) else None

    def _change(self, value: Any) -> tuple[Any, _Change] | None:
        """The scores that an operation changes, and the operation; None for any other value."""
        name = getattr(getattr(value, "op", None), "name", "")
        if not isinstance(value, relax.Call) or name not in _CHANGES:
            return None
        orders = [(0, 1), (1, 0)] if name in _COMMUTATIVE else [(0, 1)]
        for mine, other in orders:
            inner = self._only_use(value.args[mine])
            if inner is not None and tvm_ffi.structural_equal(inner.ty.shape, value.ty.shape):
                return inner, _Change(_CHANGES[name], value.args[other])
        return None

    def _only_use(self, operand: Any) -> Any:
        """The product, softmax or change that an operand is, where nothing else reads it."""
        if not isinstance(operand, relax.Var) or self._uses[operand] != 1:
            return None
        value = bound(operand, self.lookup_binding)
        is_known = isinstance(value, relax.Call) and getattr(value.op, "name", "") in (
            _MATMUL, _SOFTMAX, *_CHANGES
        )  # fmt: skip
        return value if is_known else None

    def _attention(self, operands: Sequence[Any], changes: Sequence[_Change], call: Any) -> Any:
        others = [each.operand for each in changes]
        shapes = [_static_shape(each) for each in (*operands, call, *others)]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes) or not _fits(*known[:4]):
            return call
        blocks = blocks_of(known[0][-2], known[2][-2], self._unit)

        def program(query: te.Tensor, key: te.Tensor, value: te.Tensor, *more: te.Tensor) -> te.Tensor:
            def change(score: Any, place: tuple[Any, ...]) -> Any:
                for each, tensor in zip(changes, more, strict=True):
                    score = each.apply(score, _broadcast(tensor, place))
                return score

            return attention((query, key, value), change, blocks)

        return self.builder_.call_te(program, *operands, *others, primfunc_name_hint="attention")


def _broadcast(tensor: te.Tensor, place: tuple[Any, ...]) -> Any:
    """A tensor's element at a place of one that it is broadcast to."""
    rank = len(tensor.shape)
    indices = [
        tirx.IntImm(index.ty.dtype, 0) if int(size) == 1 else index
        for size, index in zip(tensor.shape, place[len(place) - rank :], strict=True)
    ]
    return tensor(*indices)


def _static_shape(expr: Any) -> _Shape | None:
    """The shape of a tensor in float32; None for any other, and for free sizes."""
    kind: Any = getattr(expr, "ty", None)
    sizes = getattr(kind, "shape", None)
    if sizes is None or str(kind.dtype) != "float32":
        return None
    if not all(isinstance(size, tirx.IntImm) for size in sizes):
        return None
    return tuple(int(size) for size in sizes)


def _fits(query: _Shape, key: _Shape, value: _Shape, result: _Shape) -> bool:
    """Whether all are of one batch, with scores that are worth it, and results that are whole vectors."""
    scores = _ELEMENT_BYTES * prod(query[:-1]) * key[-1]
    return (
        len({shape[:-2] for shape in (query, key, value, result)}) == 1
        and min(map(len, (query, key, value))) > 2
        and scores >= _LEAST_SCORE_BYTES
        and result[-1] % _WIDTH_UNIT == 0
    )
